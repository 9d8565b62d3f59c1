package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// laneWorld is a selection of tables, each written as name:bytes or name:bytes:root, and the keys as from>to.
func laneWorld(tables, keys string) (Selection, Facts) {
	var sel Selection
	var f Facts
	for _, word := range strings.Fields(tables) {
		part := strings.Split(word, ":")
		r := Relation{Name: Name{Schema: "public", Name: part[0]}, Kind: "r", Persistence: "p"}
		_, _ = fmt.Sscan(part[1], &r.Bytes)
		if len(part) > 2 {
			root := Name{Schema: "public", Name: part[2]}
			r.Partition, r.Root, r.Parents = true, &root, []Name{root}
		}
		sel.Published = append(sel.Published, r)
	}
	for _, word := range strings.Fields(keys) {
		from, to, _ := strings.Cut(word, ">")
		f.ForeignKeys = append(f.ForeignKeys, ForeignKey{Name: word, From: Name{"public", from}, To: Name{"public", to}})
	}
	return sel, f
}

func spreadText(s Spread) string {
	var lanes []string
	for _, names := range s.Lanes {
		var list []string
		for _, n := range names {
			list = append(list, n.Name)
		}
		slices.Sort(list)
		lanes = append(lanes, strings.Join(list, " "))
	}
	text := strings.Join(lanes, " | ")
	if s.Torn {
		text += " torn"
	}
	return text
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name, tables, keys string
		lanes              int
		want               string
	}{
		{"one lane", "a:1 b:1", "", 1, ""},
		{"as the facts call for", "a:1 b:1", "", 0, ""},
		{"the heaviest first, to the least", "a:1 b:5 c:4 d:3", "", 2, "a b | c d"},
		{"what keys tie stays together", "a:9 b:1 c:5 d:6", "a>b c>b", 2, "a b c | d"},
		{"never more than groups", "a:9 b:1 c:5 d:6", "a>b c>b", 3, "a b c | d"},
		{"never more than tables", "a:9 b:1", "", 5, "a | b"},
		{"one table", "a:9", "", 5, ""},
		{"none", "", "", 5, ""},
		{"everything tied: by size, and torn", "a:4 b:3 c:2", "a>b b>c", 2, "a | b c torn"},
		{"partitions stay together", "p1:3:p p2:3:p a:4 b:1", "", 2, "a b | p1 p2"},
		{"only partitions: spread", "p1:3:p p2:3:p p3:1:p", "", 2, "p1 p3 | p2"},
		{"a key of the root is its leaves'", "p1:3:p p2:3:p a:4 b:1", "p>a", 2, "a p1 p2 | b"},
		{"a key between the leaves' root and all the rest", "p1:3:p p2:3:p a:4", "p>a", 2, "a | p1 p2 torn"},
		{"a key to itself", "a:4 b:3", "a>a", 2, "a | b"},
		{"a key out of the selection", "a:4 b:3", "a>z b>z", 2, "a | b"},
		{"empty tables are spread too", "a:0 b:0 c:0 d:0", "", 2, "a c | b d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sel, f := laneWorld(c.tables, c.keys)
			s := (Options{Lanes: c.lanes}).SpreadOf(sel, f, Facts{})
			got := s
			slices.SortFunc(got.Lanes, func(a, b []Name) int {
				return strings.Compare(spreadText(Spread{Lanes: [][]Name{a}}), spreadText(Spread{Lanes: [][]Name{b}}))
			})
			if spreadText(got) != c.want {
				t.Errorf("got %q, want %q", spreadText(got), c.want)
			}
			seen := 0
			for _, l := range lanesOf("shop", sel.Published, s.Lanes) {
				seen += len(l.Tables)
				if len(l.Tables) == 0 && len(sel.Published) > 0 {
					t.Errorf("lane %d has no table", l.N)
				}
			}
			if seen != len(sel.Published) {
				t.Errorf("%d tables on the lanes, want %d", seen, len(sel.Published))
			}
		})
	}
}

func TestSpreadByWrites(t *testing.T) {
	sel, f := laneWorld("a:100 b:100 c:100 d:100", "")
	for i, n := range []int64{0, 1000, 0, 1000} {
		sel.Published[i].Changes = n
	}
	if got, want := spreadText((Options{Lanes: 2}).SpreadOf(sel, f, Facts{})), "a b | c d"; got != want {
		t.Errorf("the two tables that are written share a lane: %q, want %q", got, want)
	}
}

// TestSpreadByDefault: several lanes only where one would hardly follow, and there is room.
func TestSpreadByDefault(t *testing.T) {
	sel, quiet := laneWorld("a:1 b:1 c:1 d:1 e:1", "")
	busy := quiet
	busy.Cluster.WALBytesPerSecond = 3 * laneWAL
	full := busy
	full.Settings, full.SlotsUsed = map[string]string{"max_replication_slots": "10"}, 7
	tied := busy
	tied.ForeignKeys = []ForeignKey{{From: Name{"public", "a"}, To: Name{"public", "b"}}, {From: Name{"public", "c"}, To: Name{"public", "b"}}, {From: Name{"public", "d"}, To: Name{"public", "b"}}}
	for _, c := range []struct {
		name string
		f    Facts
		o    Options
		want int
	}{
		{"quiet", quiet, Options{}, 1},
		{"busy", busy, Options{}, 3},
		{"busy, but one was asked for", busy, Options{Lanes: 1}, 1},
		{"busy, and FOR ALL TABLES", busy, Options{AllTables: true}, 1},
		{"busy, with one slot to spare", full, Options{}, 1},
		{"busy, and tied", tied, Options{}, 2},
		{"as saved", busy, Options{Spread: [][]Name{}}, 1},
		{"as saved in two", quiet, Options{Spread: [][]Name{{{"public", "a"}}, {{"public", "b"}}}}, 2},
	} {
		if got := max(1, len(c.o.SpreadOf(sel, c.f, Facts{}).Lanes)); got != c.want {
			t.Errorf("%s: %d lanes, want %d", c.name, got, c.want)
		}
	}
}

func TestLaneNames(t *testing.T) {
	lanes := lanesOf("shop", nil, make([][]Name, 2))
	if lanes[0].Object() != "pgleap_shop" || lanes[0].Marker() != "pgleap.marker" || lanes[1].Object() != "pgleap_shop_lane2" || lanes[1].Marker() != "pgleap.marker_2" {
		t.Errorf("%+v", lanes)
	}
	for object, want := range map[string]int{
		"pgleap_shop": 1, "pgleap_shop_lane2": 2, "pgleap_shop_lane12": 12, "pgleap_shop_lane1": 0, "pgleap_shop_lane02": 0, "pgleap_shop_lane": 0,
		"pgleap_shop_back": 0, "pgleap_shop_proof": 0, "pgleap_shop_2": 0, "pgleap_sho": 0,
	} {
		if got := RunID("shop").LaneOf(object); got != want {
			t.Errorf("%s is lane %d, want %d", object, got, want)
		}
	}
	longest := RunID(strings.Repeat("x", 40))
	if n := len(longest.Lane(MostLanes).Object()); n > 63 {
		t.Errorf("a name of %d bytes is cut off by PostgreSQL", n)
	}
	steps := lanes[1].Steps(Step{ID: "publish.slot"})
	if steps[0].ID != "publish.slot.2" || steps[0].Lane != 2 || lanes[0].Steps(Step{ID: "publish.slot"})[0].ID != "publish.slot" {
		t.Errorf("%+v", steps)
	}
}

func TestMarked(t *testing.T) {
	one, three := Marked(lanesOf("shop", nil, nil)), Marked(lanesOf("shop", nil, make([][]Name, 3)))
	for _, c := range []struct{ got, want string }{
		{one.Definition(), MarkerDefinition},
		{one.Write("$1", "$2", " returning 1"), "insert into pgleap.marker (id, run) values ($1, $2) returning 1"},
		{one.Arrived("$1"), "exists (select from pgleap.marker where id = $1)"},
		{three.Write("$1", "$2", " returning 1"), "with lane_2 as (insert into pgleap.marker_2 (id, run) values ($1, $2)),\nlane_3 as (insert into pgleap.marker_3 (id, run) values ($1, $2))\ninsert into pgleap.marker (id, run) values ($1, $2) returning 1"},
		{three.Arrived("$1"), "exists (select from pgleap.marker where id = $1)\n  and exists (select from pgleap.marker_2 where id = $1)\n  and exists (select from pgleap.marker_3 where id = $1)"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
	if n := strings.Count(three.Definition(), "create table"); n != 3 || !strings.Contains(three.Definition(), "create index marker_3_id on pgleap.marker_3 (id)") {
		t.Errorf("%s", three.Definition())
	}
}

// TestRunOfALane: a run must not be called what a lane of another one is.
func TestRunOfALane(t *testing.T) {
	for name, valid := range map[RunID]bool{"shop": true, "shop_lane": true, "shop_lanes": true, "lane2": true, "shop_lane_2": true, "shop_lane2": false, "a_lane2_lane10": false} {
		if err := name.Valid(); (err == nil) != valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Lane is what carries the rows of some of the tables: a publication, a slot and a subscription of one name, and a
// marker of its own. One apply worker follows a lane; what two lanes bring stands in no order between them.
type Lane struct {
	N      int   // from 1 on
	Run    RunID // Object is the name of publication, slot and subscription
	Tables []Relation
}

// laneMark parts the run's name from a lane's number: not by an underscore alone, because databases shop and shop_2 in one
// cluster are common, and slots are the cluster's.
const laneMark = "_lane"

// MostLanes is how many lanes a run has at most: each decodes all of the source's WAL for itself.
const MostLanes = 16

// Lane is what names the n-th lane. The first has the run's own name.
func (r RunID) Lane(n int) RunID {
	if n <= 1 {
		return r
	}
	return r + RunID(laneMark+strconv.Itoa(n))
}

// LaneOf returns the number of the lane of the run that an object of ours belongs to, by its name; 0 is none.
func (r RunID) LaneOf(object string) int {
	if object == r.Object() {
		return 1
	}
	rest, ok := strings.CutPrefix(object, r.Object()+laneMark)
	if n, err := strconv.Atoi(rest); ok && err == nil && n > 1 && strconv.Itoa(n) == rest {
		return n
	}
	return 0
}

// LanePattern is a regular expression of the names of the run's lanes.
func (r RunID) LanePattern() string { return "^" + r.Object() + "(" + laneMark + "[0-9]+)?$" }

// Whole is the one lane that carries everything.
func Whole(run RunID, tables []Relation) Lane { return Lane{N: 1, Run: run, Tables: tables} }

// Object is the name of the lane's publication, slot and subscription.
func (l Lane) Object() string { return l.Run.Object() }

// String names the lane to people.
func (l Lane) String() string { return fmt.Sprintf("lane %d (%s)", l.N, l.Object()) }

// Marker is the table of the lane's markers.
func (l Lane) Marker() string { return markerOf(l.N) }

func markerOf(n int) string {
	if n <= 1 {
		return "pgleap.marker"
	}
	return "pgleap.marker_" + strconv.Itoa(n)
}

// Relations is how many tables the lane's publication has: the marker is one of them.
func (l Lane) Relations() int { return len(l.Tables) + 1 }

// Steps are those of the lane: they have its number behind their ids, so that each lane's are its own.
func (l Lane) Steps(steps ...Step) []Step {
	if l.N <= 1 {
		return steps
	}
	out := slices.Clone(steps)
	for i := range out {
		out[i].ID += StepID("." + strconv.Itoa(l.N))
		out[i].Lane = l.N
		if !strings.Contains(out[i].Title, l.Object()) {
			out[i].Title += fmt.Sprintf(", of lane %d", l.N)
		}
	}
	return out
}

// Marked are the statements of markers, which travel through each lane: what one lane has brought says nothing about
// another.
type Marked []Lane

// Definition creates the tables.
func (m Marked) Definition() string {
	parts := []string{MarkerDefinition}
	for _, l := range m[min(1, len(m)):] {
		parts = append(parts, strings.ReplaceAll(strings.ReplaceAll(MarkerDefinition, "pgleap.marker", l.Marker()), "marker_id", fmt.Sprintf("marker_%d_id", l.N)))
	}
	return strings.Join(parts, ";\n")
}

// Write is one statement that writes a marker into every lane; more is what stands behind it. One transaction: no write of
// the application stands between two markers.
func (m Marked) Write(id, run, more string) string {
	insert := func(l Lane) string {
		return "insert into " + l.Marker() + " (id, run) values (" + id + ", " + run + ")"
	}
	if len(m) == 1 {
		return insert(m[0]) + more
	}
	var with []string
	for _, l := range m[1:] {
		with = append(with, fmt.Sprintf("lane_%d as (%s)", l.N, insert(l)))
	}
	return "with " + strings.Join(with, ",\n") + "\n" + insert(m[0]) + more
}

// Arrived is an expression: is the marker in the table of every lane?
func (m Marked) Arrived(id string) string {
	var all []string
	for _, l := range m {
		all = append(all, "exists (select from "+l.Marker()+" where id = "+id+")")
	}
	return strings.Join(all, "\n  and ")
}

// LaneList are the lanes of the plan, whose selection sel is.
func (p Plan) LaneList(sel Selection) []Lane { return lanesOf(p.Run, sel.Published, p.Lanes) }

// lanesOf gives every lane its tables in the order of the selection. Tables without a lane are in the first.
func lanesOf(run RunID, tables []Relation, spread [][]Name) []Lane {
	of := map[Name]int{}
	for i, names := range spread {
		for _, n := range names {
			of[n] = i
		}
	}
	lanes := make([]Lane, max(1, len(spread)))
	for i := range lanes {
		lanes[i] = Lane{N: i + 1, Run: run.Lane(i + 1)}
	}
	for _, r := range tables {
		i := of[r.Name]
		lanes[i].Tables = append(lanes[i].Tables, r)
	}
	return lanes
}

// Spread is how the tables are spread over lanes.
type Spread struct {
	Lanes  [][]Name `json:"lanes"`  // nil where there is one lane
	Torn   bool     `json:"torn"`   // foreign keys lead from one lane into another
	Groups int      `json:"groups"` // how many groups foreign keys and partitions leave the tables in, at most as many as there are tables
	Asked  int      `json:"asked"`  // --lanes, or what the facts call for
}

// SpreadOf chooses the lanes. Tables that foreign keys tie together share a lane, and so do the partitions of a root, unless
// that makes one lane of everything. The groups go, the heaviest first, to the lane with the least.
func (o Options) SpreadOf(sel Selection, source, target Facts) Spread {
	s := Spread{Asked: o.Lanes}
	tables := sel.Published
	tied := groups(sel, source.ForeignKeys, true, true)
	s.Groups = len(tied)
	if o.Spread != nil {
		s.Lanes = o.Spread
		if len(s.Lanes) < 2 {
			s.Lanes = nil
		}
		s.Asked = max(1, len(s.Lanes))
		return s.judged(sel, source.ForeignKeys)
	}
	if o.AllTables {
		s.Asked = 1
	}
	if s.Asked == 0 {
		s.Asked = min(lanesByRate(source), len(tied), spareLanes(source, target))
	}
	want := min(s.Asked, len(tables), MostLanes)
	if want < 2 {
		return s
	}
	for _, keep := range []struct{ keys, roots bool }{{true, false}, {false, true}, {false, false}} {
		if len(tied) > 1 {
			break
		}
		tied = groups(sel, source.ForeignKeys, keep.keys, keep.roots)
	}
	s.Lanes = balanced(tied, weights(tables), min(want, len(tied)))
	return s.judged(sel, source.ForeignKeys)
}

// judged notes whether a foreign key leads from one lane into another.
func (s Spread) judged(sel Selection, keys []ForeignKey) Spread {
	of := map[Name]int{}
	for i, names := range s.Lanes {
		for _, n := range names {
			of[n] = i
		}
	}
	for _, pair := range pairs(sel, keys) {
		s.Torn = s.Torn || of[pair[0]] != of[pair[1]]
	}
	return s
}

// pairs are the published tables that foreign keys tie; one of a partitioned table ties each of its leaves.
func pairs(sel Selection, keys []ForeignKey) [][2]Name {
	parents := map[Name][]Name{}
	for _, r := range slices.Concat(sel.Published, sel.Roots) {
		if r.Partition { // a foreign key of an inheritance parent is not its children's
			parents[r.Name] = r.Parents
			if r.Root != nil {
				parents[r.Name] = append(slices.Clone(r.Parents), *r.Root)
			}
		}
	}
	leaves := map[Name][]Name{}
	for _, r := range sel.Published {
		seen := map[Name]bool{}
		for above := []Name{r.Name}; len(above) > 0; above = above[1:] {
			if n := above[0]; !seen[n] {
				seen[n], leaves[n], above = true, append(leaves[n], r.Name), append(above, parents[n]...)
			}
		}
	}
	var out [][2]Name
	for _, k := range keys {
		from, to := leaves[k.From], leaves[k.To]
		for _, n := range from { // all that a key ties are one group: each to the first of the other side
			if len(to) > 0 {
				out = append(out, [2]Name{n, to[0]})
			}
		}
		for _, n := range to {
			if len(from) > 0 {
				out = append(out, [2]Name{from[0], n})
			}
		}
	}
	return out
}

// groups are the tables that stay together, each group in the order of the tables.
func groups(sel Selection, keys []ForeignKey, byKeys, byRoots bool) [][]Name {
	parent := map[Name]Name{}
	var find func(n Name) Name
	find = func(n Name) Name {
		p, ok := parent[n]
		if !ok || p == n {
			return n
		}
		root := find(p)
		parent[n] = root
		return root
	}
	tie := func(a, b Name) { parent[find(a)] = find(b) }
	if byKeys {
		for _, p := range pairs(sel, keys) {
			tie(p[0], p[1])
		}
	}
	if byRoots {
		first := map[Name]Name{}
		for _, r := range sel.Published {
			if r.Root == nil {
				continue
			}
			if _, ok := first[*r.Root]; !ok {
				first[*r.Root] = r.Name
			}
			tie(r.Name, first[*r.Root])
		}
	}
	at, out := map[Name]int{}, [][]Name{}
	for _, r := range sel.Published {
		root := find(r.Name)
		i, ok := at[root]
		if !ok {
			i = len(out)
			at[root] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r.Name)
	}
	return out
}

// weights are the shares that the tables have of all bytes and, where it is known, of all rows that were ever written:
// the first copy is bound by the one, what follows by the other.
func weights(tables []Relation) map[Name]float64 {
	var bytes, changes float64
	for _, r := range tables {
		bytes, changes = bytes+float64(r.Bytes+r.IndexBytes), changes+float64(r.Changes)
	}
	w := map[Name]float64{}
	for _, r := range tables {
		w[r.Name] = float64(r.Bytes+r.IndexBytes)/max(bytes, 1) + float64(r.Changes)/max(changes, 1) + 1e-9 // the emptiest tables are spread too
	}
	return w
}

// balanced puts the groups on n lanes, the heaviest first, each to the lane with the least.
func balanced(tied [][]Name, weight map[Name]float64, n int) [][]Name {
	if n < 2 {
		return nil
	}
	type group struct {
		tables []Name
		weight float64
	}
	list := make([]group, len(tied))
	for i, tables := range tied {
		list[i].tables = tables
		for _, t := range tables {
			list[i].weight += weight[t]
		}
	}
	slices.SortStableFunc(list, func(a, b group) int { return cmp.Compare(b.weight, a.weight) })
	lanes, load := make([][]Name, n), make([]float64, n)
	for _, g := range list {
		least := 0
		for i := range load {
			if load[i] < load[least] {
				least = i
			}
		}
		lanes[least], load[least] = append(lanes[least], g.tables...), load[least]+g.weight
	}
	return lanes
}

// laneWAL is the WAL, in bytes per second, that one lane is trusted to follow: one apply worker and one walsender, of
// rows in small transactions. Measured on two slow cores, rounded down.
const laneWAL = 32 << 20

// mostByRate: beyond, the decoding of the same WAL by every lane costs the source more than it brings.
const mostByRate = 4

// lanesByRate is how many lanes the source's write rate calls for.
func lanesByRate(source Facts) int {
	return max(1, min(mostByRate, int(math.Ceil(source.Cluster.WALBytesPerSecond/laneWAL))))
}

// spareLanes is how many lanes the servers have room for, at least one: that one is judged by checks of its own.
func spareLanes(source, target Facts) int {
	n := MostLanes
	room := func(f Facts, name string, used int) {
		if limit, ok := setting(f, name); ok {
			n = min(n, limit-used)
		}
	}
	room(source, "max_replication_slots", source.SlotsUsed+standing)
	room(source, "max_wal_senders", source.SendersUsed+standing)
	room(target, "max_logical_replication_workers", target.WorkersUsed+1) // one that copies
	room(target, "max_worker_processes", target.WorkersUsed+2)
	return max(1, n)
}

// PossibleLanes is how many lanes could follow the selection without tearing a foreign key apart, and what bounds them.
func PossibleLanes(sel Selection, source, target Facts) (n int, bound string) {
	tied := groups(sel, source.ForeignKeys, true, true)
	spare := min(spareLanes(source, target), mostByRate)
	if len(tied) == 1 && len(sel.Published) > 1 {
		return min(len(sel.Published), spare), "foreign keys or partitions tie all tables together: they would be torn apart"
	}
	if len(tied) < spare {
		return len(tied), fmt.Sprintf("foreign keys leave %d groups of tables", len(tied))
	}
	return spare, fmt.Sprintf("foreign keys leave %d groups of tables; slots and workers suffice for %d lanes", len(tied), spareLanes(source, target))
}

package pipeline

import (
	"strings"
	"testing"
	"time"

	"pgleap/plan"
	pgsync "pgleap/sync"
)

func TestNearest(t *testing.T) {
	safe := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		slots []pgsync.Retained
		ours  int64
		want  WALKept
	}{
		"no slot":           {nil, 100, WALKept{}},
		"no limit":          {[]pgsync.Retained{{Slot: "a", Bytes: 5}, {Slot: "b", Bytes: 7}}, 0, WALKept{Slot: "b", Bytes: 7}},
		"nothing kept":      {[]pgsync.Retained{{Slot: "a"}}, 0, WALKept{Slot: "a"}},
		"ours":              {[]pgsync.Retained{{Slot: "a", Bytes: 50}}, 100, WALKept{Slot: "a", Bytes: 50, Limit: 100, Of: limitOurs, Share: 0.5}},
		"none, said":        {[]pgsync.Retained{{Slot: "a", Bytes: 50}}, -1, WALKept{Slot: "a", Bytes: 50}},
		"the server's":      {[]pgsync.Retained{{Slot: "a", Bytes: 60, Safe: safe(20)}}, 100, WALKept{Slot: "a", Bytes: 60, Limit: 80, Of: limitServers, Share: 0.75}},
		"beyond the server": {[]pgsync.Retained{{Slot: "a", Bytes: 60, Safe: safe(-20)}}, 100, WALKept{Slot: "a", Bytes: 60, Limit: 40, Of: limitServers, Share: 1.5}},
		"ours is nearer":    {[]pgsync.Retained{{Slot: "a", Bytes: 60, Safe: safe(60)}}, 80, WALKept{Slot: "a", Bytes: 60, Limit: 80, Of: limitOurs, Share: 0.75}},
		"a copy's slot":     {[]pgsync.Retained{{Slot: "a", Bytes: 10}, {Slot: "pg_1_sync_2", Bytes: 60}}, 100, WALKept{Slot: "pg_1_sync_2", Bytes: 60, Limit: 100, Of: limitOurs, Share: 0.6}},
	} {
		if got := nearest(c.slots, c.ours); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestTrend: the growth is that of the last minute.
func TestTrend(t *testing.T) {
	var tr trend
	start := time.Now()
	if tr.read(start, 1000); tr.perSecond() != 0 {
		t.Error("a growth of one reading")
	}
	for s := range 120 {
		tr.read(start.Add(time.Duration(s+1)*time.Second), int64(1000+max(0, s-60)*10))
	}
	if got := tr.perSecond(); got < 9 || got > 10 || len(tr) > 62 {
		t.Errorf("%.1f a second of %d readings", got, len(tr))
	}
}

// TestGuardJudges: what is told and held back at each share, and that what was held is let go only when it eased.
func TestGuardJudges(t *testing.T) {
	var told []string
	var cause error
	g := &walGuard{Config: Config{Run: "shop", Options: plan.Options{MaxRetainedWAL: 1000}, Emit: func(e plan.Event) { told = append(told, e.Message) }}, trends: map[string]*trend{}, cancel: func(err error) { cause = err }}
	g.copying.Add(1)
	now := time.Now()
	for i, c := range []struct {
		bytes       int64
		told, held  string
		given, lost bool
	}{
		{bytes: 499},
		{bytes: 500, told: "At the limit the run is given up"},
		{bytes: 600},
		{bytes: 750, held: "75 %"},
		{bytes: 600, held: "60 %"},
		{bytes: 499, told: "nothing is held back any more"},
		{bytes: 500},
		{bytes: 300},
		{bytes: 800, told: "At the limit", held: "80 %"},
		{bytes: 1000, held: "100 %", given: true},
	} {
		told, cause = nil, nil
		g.judge(now.Add(time.Duration(i)*time.Second), []pgsync.Retained{{Slot: "pgleap_shop", Bytes: c.bytes}})
		if text := strings.Join(told, "\n"); !strings.Contains(text, c.told) || (text == "") != (c.told == "") {
			t.Errorf("%d: told %q, want %q", c.bytes, text, c.told)
		}
		if held := g.why(); !strings.Contains(held, c.held) || (held == "") != (c.held == "") {
			t.Errorf("%d: held because of %q, want %q", c.bytes, held, c.held)
		}
		if (cause != nil) != c.given {
			t.Errorf("%d: given up: %v", c.bytes, cause)
		}
	}
	for _, slot := range []string{"pgleap_shop", "pgleap_shop_lane2"} {
		cause = nil
		if g.judge(now, []pgsync.Retained{{Slot: slot, Status: "lost"}}); plan.KindOf(cause) != plan.KindNotReady || !strings.Contains(cause.Error(), slot) {
			t.Errorf("%s is lost: %v", slot, cause)
		}
	}
}

// TestGuardStandbys: a pause lasts until the farthest standby is under half of what is allowed.
func TestGuardStandbys(t *testing.T) {
	for _, c := range []struct {
		limit   int64
		behind  []int64
		waiting []bool
	}{
		{1000, []int64{1000, 1001, 600, 500, 800}, []bool{false, true, true, false, false}},
		{0, []int64{1 << 30, 1<<30 + 1}, []bool{false, true}},
		{-1, []int64{1 << 40}, []bool{false}},
	} {
		g := &walGuard{Config: Config{Options: plan.Options{MaxStandbyLag: c.limit}}}
		for i, behind := range c.behind {
			g.follows([]pgsync.Standby{{Name: "walreceiver", Behind: behind}})
			if got := g.whyStandby() != ""; got != c.waiting[i] {
				t.Errorf("limit %d, %d behind: paused %v", c.limit, behind, got)
			}
		}
		if g.follows(nil); g.whyStandby() != "" {
			t.Error("paused for a standby that is gone")
		}
	}
}

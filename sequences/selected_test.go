package sequences

import (
	"math"
	"testing"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// TestOnlyTheSelectedAreRead: a role that may not read somebody else's sequence can carry its own.
func TestOnlyTheSelectedAreRead(t *testing.T) {
	for _, major := range []int{10, 13, 17, 18} {
		a := servers(t, major)
		owner, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer owner.Close()
		mustExec(t, owner.Session, `create role plain login password 'plain'; create schema app authorization plain; create schema closed;
			create sequence closed.s; select nextval('closed.s'); create sequence app.called; create sequence app.fresh;
			alter sequence app.called owner to plain; alter sequence app.fresh owner to plain; select nextval('app.called')`)
		address, err := pg.ParseAddress(a.Conninfo("test", nil).Reveal() + " user=plain password=plain")
		if err != nil {
			t.Fatal(err)
		}
		s, err := pg.OpenSource(t.Context(), address, pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		called, fresh, closed := plan.Name{Schema: "app", Name: "called"}, plan.Name{Schema: "app", Name: "fresh"}, plan.Name{Schema: "closed", Name: "s"}
		got, err := Read(t.Context(), s, s.Version(), []plan.Sequence{{Name: called}, {Name: fresh}})
		if err != nil || len(got) != 2 || got[called] != (Position{1, true}) || got[fresh] != (Position{1, false}) {
			t.Errorf("%d: %v, %v", major, got, err)
		}
		if _, err := Read(t.Context(), s, s.Version(), []plan.Sequence{{Name: called}, {Name: closed}}); pg.Code(err) != pg.CodePrivilege {
			t.Errorf("%d: a selected one that may not be read: %v", major, err)
		}
	}
}

func TestValues(t *testing.T) {
	ring := bigint(1)
	ring.Cycle = true
	whole := plan.Sequence{Increment: 1, Min: math.MinInt64, Max: math.MaxInt64}
	for _, c := range []struct {
		name     string
		s        plan.Sequence
		was, now Position
		n        uint64
		ok       bool
	}{
		{"called", bigint(1), Position{7, true}, Position{9, true}, 2, true},
		{"called for the first time", bigint(1), Position{1, false}, Position{1, true}, 1, true},
		{"by fifty", bigint(50), Position{100, true}, Position{250, true}, 3, true},
		{"down", bigint(-3), Position{-1, true}, Position{-7, true}, 2, true},
		{"not at all", bigint(1), Position{7, true}, Position{7, true}, 0, true},
		{"over the whole range", whole, Position{math.MinInt64, true}, Position{math.MaxInt64, true}, math.MaxUint64, true},
		{"set back", bigint(1), Position{7, true}, Position{6, true}, 0, false},
		{"set back, down", bigint(-3), Position{-7, true}, Position{-1, true}, 0, false},
		{"set to the same", bigint(1), Position{7, true}, Position{7, false}, 0, false},
		{"set ahead, not called", bigint(1), Position{7, true}, Position{9, false}, 0, false},
		{"between two steps", bigint(50), Position{100, true}, Position{101, true}, 0, false},
		{"round", ring, Position{7, true}, Position{2, true}, 0, false},
		{"round or not", ring, Position{7, true}, Position{9, true}, 0, false},
	} {
		if n, ok := values(c.s, c.was, c.now); n != c.n || ok != c.ok {
			t.Errorf("%s: %d, %v", c.name, n, ok)
		}
	}
}

// TestTheRealGapIsReported: near its end a sequence gets less than was asked for.
func TestTheRealGapIsReported(t *testing.T) {
	small := plan.Sequence{Name: plan.Name{Schema: "public", Name: "s"}, Increment: 1, Min: 1, Max: 32767}
	c := &Carrier{Of: []plan.Sequence{small}, Margin: 1000, source: map[plan.Name]Position{small.Name: {32467, true}}}
	c.target = map[plan.Name]Position{small.Name: Ahead(small, c.source[small.Name], c.Margin)}
	if got := c.Positions().([]Report)[0].Margin; got != 3 {
		t.Errorf("margin %d, want 3", got)
	}
}

package rehearsal

import (
	"testing"
	"time"

	"pgleap/plan"
)

func TestComparison(t *testing.T) {
	for _, c := range []struct {
		c      Comparison
		factor float64
	}{
		{Comparison{Estimated: 10, Measured: 5}, 2},
		{Comparison{Estimated: 5, Measured: 10}, 2},
		{Comparison{Estimated: 5}, 0},
		{Comparison{Measured: 5}, 0},
	} {
		if got := c.c.Factor(); got != c.factor {
			t.Errorf("%+v: factor %v; want %v", c.c, got, c.factor)
		}
	}
	v := Verdict{Estimates: []Comparison{{Of: ComparesCopy, Estimated: 1}}}
	if v.Comparison(ComparesCopy).Estimated != 1 || v.Comparison(ComparesWAL).Estimated != 0 {
		t.Error("the wrong comparison")
	}
}

// TestStopwatch: steps of a batch run side by side, and the batch takes as long as one of them is under way.
func TestStopwatch(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := &stopwatch{batches: map[string][]span{}}
	for _, e := range []struct {
		batch          string
		after, seconds float64
	}{{"indexes", 3, 3}, {"indexes", 4, 3.5}, {"indexes", 5, 1}, {"indexes", 9, 1}, {"analyze", 9, 2}} {
		s.batch(e.batch, plan.Event{Time: start.Add(time.Duration(e.after * float64(time.Second))), Seconds: e.seconds})
	}
	if got := s.seconds("indexes", "foreign-keys"); got != 6 {
		t.Errorf("indexes took %v s; want 6", got)
	}
	if got := s.seconds("analyze"); got != 2 {
		t.Errorf("analyze took %v s; want 2", got)
	}
}

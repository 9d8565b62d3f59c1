package rehearsal

import (
	"slices"
	"testing"
	"time"
)

// pooledConfig is a small rehearsal whose clients go through PgBouncer.
func pooledConfig(faults string) Config {
	c := smallConfig(faults)
	c.Pooler, c.ReadRate, c.Readers, c.Interval = PoolerPgBouncer, 100, 0, time.Second
	c.Budget.WriteStall = 20 * time.Second // the stand-in makes its way back while everybody waits
	return c
}

// TestPooledSwitchByHand: no client fails that goes through the pooler, those that go round it are refused, and the
// floors are measured.
func TestPooledSwitchByHand(t *testing.T) {
	t.Parallel()
	c := pooledConfig("")
	c.By, c.SkipFinalize, c.Floors = ByStatements, true, 2
	v, red := rehearse(t, c)
	if len(red) > 0 {
		t.Errorf("red: %v", red)
	}
	if l := v.Ledger; l.FailedPooled != 0 || l.Failed == 0 || l.OnTarget == 0 {
		t.Errorf("not what a pooler is for: %+v", l)
	}
	f := v.Floor
	if f == nil || f.Pause.N != 2 || f.Script.N != 2 || f.Hand.N != 2 || f.Total() < f.Pause.Median || f.Script.Median == 0 {
		t.Errorf("floor %+v", f)
	}
	if v.Turns == nil || v.Turns.Cutover.Stall.N != 1 || v.Turns.Cutover.Times == 0 {
		t.Errorf("turns %+v", v.Turns)
	}
}

// TestTrips: there and back twice, and there.
func TestTrips(t *testing.T) {
	t.Parallel()
	c := pooledConfig("back")
	c.Trips, c.SkipFinalize = 2, true
	v, red := rehearse(t, c)
	if len(red) > 0 {
		t.Errorf("red: %v", red)
	}
	if v.Turns.Cutover.Stall.N != 3 || v.Turns.Rollback.Stall.N != 2 || v.Switch.Direction != there || len(v.Turns.Each) != 5 {
		t.Errorf("turns %+v", v.Turns)
	}
	if l := v.Ledger; l.FailedPooled != 0 || l.OnSource == 0 || l.OnTarget == 0 {
		t.Errorf("ledger %+v", l)
	}
}

// TestRollbackEndsOnTheOldServer, without a trace of the run.
func TestRollbackEndsOnTheOldServer(t *testing.T) {
	t.Parallel()
	c := pooledConfig("back")
	c.Rollback = true
	v, red := rehearse(t, c)
	if len(red) > 0 {
		t.Errorf("red: %v", red)
	}
	for _, id := range []string{"R-BACK", "R-CLEAN"} {
		if _, ok := v.Assertion(id); !ok {
			t.Errorf("%s was not judged", id)
		}
	}
	if v.Switch.Direction != back {
		t.Errorf("it ended with a %s", v.Switch.Direction)
	}
}

// TestTripsFail does each sabotage of a way back, and expects the verdict to tell.
func TestTripsFail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		faults string
		want   []string // must not hold
	}{
		{"back,no-entries-back", []string{"R-BACK", "R-READ"}}, // what was written on the new server stays there
		{"back,late-write", []string{"R-SPLIT"}},               // the fence is passed
		{"back,no-sequences", []string{"R-SEQ", "R-DUP"}},      // numbers are handed out again
		{"back,cuts-clients", []string{"R-ERR", "R-READ"}},     // the pooler's clients are thrown out
	} {
		t.Run(test.faults, func(t *testing.T) {
			t.Parallel()
			c := pooledConfig(test.faults)
			c.Trips, c.SkipFinalize = 1, true
			v, red := rehearse(t, c)
			if v.Passed() {
				t.Error("passed")
			}
			for _, id := range test.want {
				if !slices.Contains(red, id) {
					t.Errorf("%s holds; red: %v", id, red)
				}
			}
		})
	}
}

// TestPublishedProcedureIsSeenThrough: the baseline's clients fail, and a sequence that no column owns is not carried over.
func TestPublishedProcedureIsSeenThrough(t *testing.T) {
	t.Parallel()
	c := pooledConfig("")
	c.By, c.SkipFinalize = ByPublished, true
	v, red := rehearse(t, c)
	for _, id := range []string{"R-ERR", "R-DUP", "R-SEQ"} {
		if !slices.Contains(red, id) {
			t.Errorf("%s holds; red: %v", id, red)
		}
	}
	if v.Ledger.FailedPooled == 0 || v.Ledger.FailedTransactions == 0 || v.Ledger.Twice == 0 {
		t.Errorf("ledger %+v", v.Ledger)
	}
}

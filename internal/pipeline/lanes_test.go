package pipeline

import (
	"testing"

	pgsync "pgleap/sync"
)

// TestLanesSummedUp: when a lag is gone is told of the lane that is furthest behind, and of no other.
func TestLanesSummedUp(t *testing.T) {
	soon := 3.0
	near := LaneStatus{Lag: &pgsync.Lag{Bytes: 20 << 20, Retained: 6 << 30}, CatchUp: &soon}
	far := LaneStatus{Lag: &pgsync.Lag{Bytes: 5 << 30, Retained: 5 << 30}} // it grows
	for _, lanes := range [][]LaneStatus{{near, far}, {far, near}} {
		st := Status{Lanes: lanes}
		if st.sumUp(); st.CatchUp != nil || st.Lag.Bytes != 5<<30 || st.Lag.Retained != 6<<30 {
			t.Errorf("%+v, gone in %v", st.Lag, st.CatchUp)
		}
	}
}

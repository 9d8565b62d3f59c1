package main

import (
	"testing"
	"time"

	"pgleap/internal/rehearsal"
)

// TestRunbookByHand carries the upgrade out as a reader of the runbook does who has never seen pgleap: its blocks,
// in order, in two terminals of psql and a shell, while clients write. What holds of pgleap holds of him.
func TestRunbookByHand(t *testing.T) {
	for _, p := range []struct {
		name     string
		from, to int
		scenario string
	}{{"shop_13_18", 13, 18, "shop"}, {"shop_10_15", 10, 15, "shop"}} {
		t.Run(p.name, func(t *testing.T) {
			mustPass(t, rehearseByHand(t, p.from, p.to, p.scenario, nil))
		})
	}
}

func rehearseByHand(t *testing.T, from, to int, scenario string, sabotage func([]block) []block) rehearsal.Verdict {
	t.Helper()
	c := shortLoad(from, to, scenario)
	c.Budget.WriteStall = 10 * time.Second // a person's, not pgleap's
	c.ToolEnv = startReader(t, sabotage)
	return rehearse(t, c)
}

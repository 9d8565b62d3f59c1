package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/cutover"
	"pgleap/internal/rehearsal"
)

// TestRunbookByHand carries the upgrade out as a reader of the runbook does who has never seen pgleap: its blocks,
// in order, in two terminals of psql and a shell, while clients write. What holds of pgleap holds of him.
func TestRunbookByHand(t *testing.T) {
	for _, p := range []struct {
		name     string
		from, to int
		scenario string
	}{{"shop_13_18", 13, 18, "shop"}, {"shop_10_15", 10, 15, "shop"}, {"odd_names_12_16", 12, 16, "odd-names"}} {
		t.Run(p.name, func(t *testing.T) {
			v := rehearseByHand(t, p.from, p.to, p.scenario, nil)
			mustPass(t, v)
			t.Logf("writes stalled %.0f ms, %d transactions acknowledged, %d lost", v.Switch.StallMS, v.Ledger.Acknowledged, v.Ledger.Lost)
		})
	}
}

func rehearseByHand(t *testing.T, from, to int, scenario string, sabotage func([]block) []block) rehearsal.Verdict {
	t.Helper()
	v, err := tryByHand(t, from, to, scenario, sabotage)
	if err != nil {
		t.Fatalf("the rehearsal broke: %v", err)
	}
	return v
}

func tryByHand(t *testing.T, from, to int, scenario string, sabotage func([]block) []block) (rehearsal.Verdict, error) {
	t.Helper()
	c := shortLoad(from, to, scenario)
	c.Budget.WriteStall = 10 * time.Second // a person's, not pgleap's
	c.Tool, c.ToolEnv = []string{os.Args[0]}, append(startReader(t, sabotage), asCommand+"=1")
	return rehearsal.Run(t.Context(), c)
}

// A runbook that leaves something out must turn the verdict red, or stop the reader.
func TestRunbookWithoutTheFence(t *testing.T) {
	t.Run("and nobody looks", func(t *testing.T) {
		v := rehearseByHand(t, 15, 17, "pgbench", func(blocks []block) []block {
			return slices.DeleteFunc(mapped(blocks, func(b block) block {
				switch {
				case b.step == string(cutover.StepLock) && strings.HasPrefix(b.text, "begin;"):
					b.text = "begin;"
				case b.step == string(cutover.StepCommit):
					b.text = "commit;\n\\echo " + cutover.Moved
				}
				return b
			}), func(b block) bool { return b.step == string(cutover.StepFence) })
		})
		split, _ := v.Assertion("R-SPLIT")
		lost, _ := v.Assertion("R-LOST")
		if split.Holds && lost.Holds {
			t.Fatalf("R-SPLIT and R-LOST hold although the old server was never closed: %+v %+v", split, lost)
		}
		t.Logf("red as it must be: R-SPLIT holds %v: %s; R-LOST holds %v: %s", split.Holds, split.Detail, lost.Holds, lost.Detail)
	})
	t.Run("the last block looks", func(t *testing.T) {
		_, err := tryByHand(t, 15, 17, "pgbench", func(blocks []block) []block {
			return slices.DeleteFunc(blocks, func(b block) bool { return b.step == string(cutover.StepFence) })
		})
		if err == nil || !strings.Contains(err.Error(), "the fence is not there") {
			t.Fatalf("the reader passed the point of no return without a fence: %v", err)
		}
	})
}

func mapped(blocks []block, change func(block) block) []block {
	for i := range blocks {
		blocks[i] = change(blocks[i])
	}
	return blocks
}

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgleap/cutover"
	"pgleap/internal/rehearsal"
	"pgleap/plan"
)

// TestRunbookByHand carries the upgrade out as a reader of the runbook does who has never seen pgleap: its blocks,
// in order, in two terminals of psql and a shell, while clients write. What holds of pgleap holds of him.
func TestRunbookByHand(t *testing.T) {
	for _, p := range []struct {
		name     string
		from, to int
		scenario string
	}{
		{"shop_13_18", 13, 18, "shop"},
		{"shop_10_15", 10, 15, "shop"},
		{"odd_names_12_16", 12, 16, "odd-names"},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			mustPass(t, rehearseByHand(t, byHand(t, p.from, p.to, p.scenario, nil)))
		})
	}
}

// TestRunbookDeferredTrigger: a trigger that fires for replicated rows too is made behind the fence, in a
// transaction that terminal NEW keeps open.
func TestRunbookDeferredTrigger(t *testing.T) {
	t.Parallel()
	c := byHand(t, 14, 16, "always", nil)
	c.ScenarioDir = fstest.MapFS{"always/10-schema.sql": {Data: []byte(`create schema s;
create table s.t (id bigserial primary key, note text);
create function s.note() returns trigger language plpgsql as 'begin new.note := new.note || ''!''; return new; end';
create trigger always before insert on s.t for each row execute procedure s.note();
alter table s.t enable always trigger always;
insert into s.t (note) select 'n' || n from generate_series(1, 200) n;`)}}
	mustPass(t, rehearseByHand(t, c))
}

// TestRunbookWithoutTheFence: the verdict is red when nobody is stopped. The verdict of a rehearsal by hand can fail.
func TestRunbookWithoutTheFence(t *testing.T) {
	t.Parallel()
	v := rehearseByHand(t, byHand(t, 15, 17, "pgbench", func(blocks []block) []block {
		for i, b := range blocks {
			switch {
			case b.step == string(cutover.StepLock) && strings.HasPrefix(b.text, "begin;"):
				blocks[i].text = "begin;"
			case b.step == string(cutover.StepCommit):
				blocks[i].text = "commit;\n\\echo " + cutover.Moved
			}
		}
		return without(blocks, cutover.StepFence)
	}))
	split, _ := v.Assertion("R-SPLIT")
	lost, _ := v.Assertion("R-LOST")
	if split.Holds && lost.Holds {
		t.Fatalf("R-SPLIT and R-LOST hold although the old server was never closed: %+v %+v", split, lost)
	}
	t.Logf("red as it must be: R-SPLIT holds %v: %s; R-LOST holds %v: %s", split.Holds, split.Detail, lost.Holds, lost.Detail)
}

// TestRunbookStopsTheReader: who leaves a block out, or overlooks its error, does not get past the point of no
// return: the last block looks for itself.
func TestRunbookStopsTheReader(t *testing.T) {
	for _, c := range []struct {
		name, says string
		from, to   int
		sabotage   func([]block) []block
	}{
		{"no fence", "the fence is not there", 15, 17, func(blocks []block) []block { return without(blocks, cutover.StepFence) }},
		{"no marker", "terminal NEW has not said that everything arrived", 15, 17, func(blocks []block) []block {
			return without(blocks, cutover.StepMarker, cutover.StepDrain, cutover.StepSequences)
		}},
		{"a table made since the comparison", "was created, changed or dropped", 15, 17, typing("create table public.late (id int primary key);")},
		{"a table truncated on a 10", "was truncated or rewritten", 10, 15, typing("truncate public.pgbench_history;")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := rehearsal.Run(t.Context(), byHand(t, c.from, c.to, "pgbench", c.sabotage))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("the reader passed the point of no return, or stopped for another reason: %v", err)
			}
		})
	}
}

// typing is what somebody types into terminal OLD at the end of stage finish.
func typing(sql string) func([]block) []block {
	return func(blocks []block) []block {
		return append(blocks, block{stage: string(plan.StageFinish), terminal: "OLD", text: sql})
	}
}

// without leaves the steps' blocks out.
func without[T ~string](blocks []block, steps ...T) []block {
	return slices.DeleteFunc(blocks, func(b block) bool { return slices.Contains(steps, T(b.step)) })
}

// byHand is a rehearsal whose tool is a reader of the runbook.
func byHand(t *testing.T, from, to int, scenario string, sabotage func([]block) []block) rehearsal.Config {
	t.Helper()
	c := shortLoad(from, to, scenario)
	c.Budget.WriteStall = 10 * time.Second // a person's, not pgleap's
	c.Tool, c.ToolEnv = []string{os.Args[0]}, append(startReader(t, sabotage), asCommand+"=1")
	return c
}

func rehearseByHand(t *testing.T, c rehearsal.Config) rehearsal.Verdict {
	t.Helper()
	v, err := rehearsal.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("the rehearsal broke: %v", err)
	}
	t.Logf("%s to %s: writes stalled %.0f ms, %d transactions acknowledged, %d lost", v.From, v.To, v.Switch.StallMS, v.Ledger.Acknowledged, v.Ledger.Lost)
	return v
}

package main

import (
	"context"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/rehearsal"
	"pgleap/plan"
)

// The oracle must be able to fail. The plan is data, and the journaled plan is what is carried out: a
// sabotage takes statements out of it, and signs it anew.
func TestSabotageTurnsTheVerdictRed(t *testing.T) {
	for _, s := range []struct {
		name string
		at   string
		do   func(ctx context.Context, t *testing.T, stage *rehearsal.Stage) error
		red  []string // one of these must not hold
		all  bool     // each of them must not hold
	}{
		{"without the sequences", rehearsal.HookSynced, edit(withoutSequences), []string{"R-SEQ", "R-DUP"}, false},
		{"a row deleted", rehearsal.HookSynced, behind(`delete from ledger.entry where id = (select min(id) from ledger.entry)`), []string{"R-HASH", "R-LOST"}, true},
		{"a row changed", rehearsal.HookSynced, behind(`update ledger.entry set payload = payload || 'x' where id = (select min(id) from ledger.entry)`), []string{"R-HASH", "R-LOST"}, true},
		{"a row added", rehearsal.HookSynced, behind(`insert into ledger.entry select (jsonb_populate_record(e, '{"client": 999, "id": -1}')).* from ledger.entry e order by id limit 1`), []string{"R-HASH", "R-LOST"}, true},
		{"a slot left over", rehearsal.HookFinalized, slotLeft, []string{"R-CLEAN"}, true},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c := shortLoad(15, 17, "pgbench")
			c.Between = map[string]func(context.Context, *rehearsal.Stage) error{
				s.at: func(ctx context.Context, stage *rehearsal.Stage) error { return s.do(ctx, t, stage) },
			}
			v := rehearse(t, c)
			red := 0
			for _, id := range s.red {
				a, ok := v.Assertion(id)
				if !ok {
					t.Fatalf("no assertion %s", id)
				}
				if !a.Holds {
					red++
					t.Logf("red as it must be: %s %s", id, a.Detail)
				}
			}
			if red == 0 || s.all && red < len(s.red) {
				var b strings.Builder
				_ = v.WriteText(&b)
				t.Fatalf("%d of %v are red:\n%s", red, s.red, b.String())
			}
		})
	}
}

// Without its fence a cutover finds out by itself: the writes that it tries behind it are not refused.
func TestSabotagedFenceIsFound(t *testing.T) {
	t.Parallel()
	c := shortLoad(15, 17, "pgbench")
	c.Between = map[string]func(context.Context, *rehearsal.Stage) error{
		rehearsal.HookSynced: func(ctx context.Context, stage *rehearsal.Stage) error { return edit(withoutFence)(ctx, t, stage) },
	}
	if _, err := tryRehearsal(t, c); err == nil || !strings.Contains(err.Error(), "exit 7") || !strings.Contains(err.Error(), "the fence on the old server has a hole") {
		t.Fatalf("the cutover without a fence ended with %v", err)
	}
}

// A password printed once turns R-SECRET red: the tool of this rehearsal prints its address.
func TestPrintedPasswordTurnsTheVerdictRed(t *testing.T) {
	t.Parallel()
	c := shortLoad(15, 17, "pgbench")
	c.ToolEnv = []string{leakAddress + "=1"}
	v := rehearse(t, c)
	if a, ok := v.Assertion("R-SECRET"); !ok || a.Holds {
		t.Fatalf("R-SECRET holds although the tool printed a password: %+v", a)
	}
}

// edit changes the journaled plan before the cutover reads it.
func edit(change func(*plan.Plan)) func(context.Context, *testing.T, *rehearsal.Stage) error {
	return func(ctx context.Context, _ *testing.T, stage *rehearsal.Stage) error {
		return onTarget(ctx, stage, func(s *pg.Target) error {
			var text string
			if err := s.QueryRow(ctx, `select plan from pgleap.run`).Scan(&text); err != nil {
				return err
			}
			p, err := plan.Decode(strings.NewReader(text))
			if err != nil {
				return err
			}
			change(&p)
			var b strings.Builder
			if err := p.Encode(&b); err != nil {
				return err
			}
			_, err = s.Exec(ctx, `update pgleap.run set plan = $1, fingerprint = $2`, b.String(), p.Fingerprint())
			return err
		})
	}
}

func steps(p *plan.Plan, change func(*plan.Step)) {
	for i := range p.Stages {
		for j := range p.Stages[i].Steps {
			change(&p.Stages[i].Steps[j])
		}
	}
}

// withoutFence leaves neither locks nor triggers: the writers are never stopped.
func withoutFence(p *plan.Plan) {
	steps(p, func(s *plan.Step) {
		if s.ID == "switch.lock" || s.ID == "switch.fence" {
			s.Do.SQL = "select 1"
		}
	})
}

// withoutSequences reads no sequence at the switch: what was set beforehand stays.
func withoutSequences(p *plan.Plan) {
	p.Source.Sequences = nil
}

// behind runs a statement on the target behind the tool's back.
func behind(sql string) func(context.Context, *testing.T, *rehearsal.Stage) error {
	return func(ctx context.Context, t *testing.T, stage *rehearsal.Stage) error {
		return onTarget(ctx, stage, func(s *pg.Target) error {
			n, err := s.Exec(ctx, sql)
			if err == nil && n != 1 {
				t.Errorf("the sabotage touched %d rows", n)
			}
			return err
		})
	}
}

func onTarget(ctx context.Context, stage *rehearsal.Stage, f func(*pg.Target) error) error {
	a, err := pg.ParseAddress(stage.Target.URI)
	if err != nil {
		return err
	}
	s, err := pg.OpenTarget(ctx, a, pg.Options{Verb: "sabotage"})
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

func slotLeft(ctx context.Context, _ *testing.T, stage *rehearsal.Stage) error {
	a, err := pg.ParseAddress(stage.Source.URI)
	if err != nil {
		return err
	}
	s, err := pg.OpenSource(ctx, a, pg.Options{Verb: "sabotage"})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Exec(ctx, `select pg_create_logical_replication_slot('pgleap_left_over', 'pgoutput')`)
	return err
}

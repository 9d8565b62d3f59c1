package main

import (
	"strings"
	"testing"

	"pgleap/internal/pipeline"
)

// TestStatus: in each phase status says how far the run is, what is wrong with its cause, and the command that
// mends it; and it changes nothing.
func TestStatus(t *testing.T) {
	s := startServers(t, 15, 18)
	t.Run("phases", func(t *testing.T) {
		t.Parallel()
		u := s.upgrade(t, small)
		st := u.status(pipeline.Unknown)
		if st.Known || st.Run != "db1" && st.Next() != "pgleap sync" {
			t.Errorf("before: %+v", st)
		}
		u.run(exitOK, "status").says("run "+u.name+": the target has no journal of this run: it was never begun there, or is finalized", "next       pgleap sync")

		u.run(exitOK, "sync")
		st = u.status(pipeline.OK)
		if !st.Known || st.Fenced || st.States["ready"] != 3 || st.Lag == nil || st.Worker == nil || st.Worker.PID == nil || st.Next() != "pgleap cutover" {
			t.Errorf("synchronised: %+v", st)
		}
		u.run(exitOK, "status").says(": ok", "✓ finish", "tables     3 ready of 3", "lag ", "WAL kept", "by our slot", "next       pgleap cutover")

		u.run(exitOK, "cutover", "--confirm", u.name)
		st = u.status(pipeline.OK)
		if !st.Fenced || st.Lag != nil || st.Next() == "" {
			t.Errorf("switched over: %+v", st)
		}
		u.run(exitOK, "status").says("✓ teardown", "source     fenced: it takes no writes", "next       pgleap finalize")

		u.run(exitOK, "finalize", "--confirm", u.name)
		u.run(exitOK, "status").says("no journal", "or is finalized")
		u.source.run("create schema pgleap; comment on schema pgleap is 'pgleap run=" + u.name + " side=source other=1'")
		u.run(exitOK, "status").says("critical", "was begun with another target", "next       mend what is wrong first")
	})
	for name, c := range map[string]struct {
		harm  func(u *upgrade)
		write string // on the source, so that apply meets the harm
		says  []string
		mend  func(u *upgrade)
	}{
		"a column is missing": {
			harm:  func(u *upgrade) { u.target.run("alter table orders drop column note") },
			write: "insert into orders (customer, note) values (3, 'x')",
			says:  []string{"apply has stopped: column note of public.orders is not on the target", "alter table public.orders add column note text"},
			mend:  func(u *upgrade) { u.target.run("alter table orders add column note text") },
		},
		"a table is missing": {
			harm:  func(u *upgrade) { u.target.run("drop table orders cascade") },
			write: "insert into orders (customer, note) values (3, 'x')",
			says:  []string{"table public.orders is not on the target"},
		},
		"disabled": {
			harm: func(u *upgrade) { u.target.run("alter subscription pgleap_" + u.name + " disable") },
			says: []string{"the subscription is disabled", "alter subscription pgleap_", "enable"},
			mend: func(u *upgrade) { u.target.run("alter subscription pgleap_" + u.name + " enable") },
		},
		"a row is there already": {
			harm:  func(u *upgrade) { u.target.run("insert into customers (id, name) values (1000, 'mine')") },
			write: "insert into customers (id, name) values (1000, 'theirs')",
			says:  []string{"are on the target already", "the target's log"},
			mend:  func(u *upgrade) { u.target.run("delete from customers where id = 1000") },
		},
		"the subscription is gone": {
			harm: func(u *upgrade) {
				n := "alter subscription pgleap_" + u.name
				u.target.run(n + " disable")
				u.target.run(n + " set (slot_name = none)")
				u.target.run("drop subscription pgleap_" + u.name)
			},
			says: []string{"the subscription is gone", "pgleap abort, then pgleap sync"},
		},
		"the slot is gone": {
			harm: func(u *upgrade) {
				u.target.run("alter subscription pgleap_" + u.name + " disable")
				await(u.t, "the slot to be dropped", func() bool {
					return u.source.run("select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where not active and slot_name = 'pgleap_"+u.name+"'") == "1"
				})
			},
			says: []string{"the replication slot pgleap_", "is gone", "pgleap abort, then pgleap sync"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, small)
			before := u.snapshot()
			u.run(exitOK, "sync")
			c.harm(u)
			if c.write != "" {
				u.source.run(c.write)
			}
			await(t, "status to find it", func() bool { return u.readStatus().Level == pipeline.Critical })
			during, target := u.snapshot(), dump(t, u.targetURI)
			st := u.status(pipeline.Critical)
			if len(st.Problems) == 0 || st.Problems[0].Text == "" || st.Problems[0].Mend == "" {
				t.Errorf("a problem without its mend: %+v", st.Problems)
			}
			await(t, "the cause to be named", func() bool { return contains(u.run(exitOK, "status").stdout, c.says...) })
			u.run(exitOK, "status").says(c.says...).says("critical")
			u.unchanged(during)
			if dump(t, u.targetURI) != target {
				t.Error("status changed the target")
			}
			if c.mend != nil {
				c.mend(u)
				await(t, "the run to be well again", func() bool { return u.readStatus().Level == pipeline.OK })
				u.run(exitOK, "cutover", "--confirm", u.name)
				u.run(exitOK, "finalize", "--confirm", u.name)
				return
			}
			u.run(exitOK, "abort")
			u.unchanged(before)
		})
	}
}

func (u *upgrade) readStatus() pipeline.Status {
	u.t.Helper()
	var st pipeline.Status
	u.run(exitOK, "status", "--json").into(&st)
	return st
}

func (u *upgrade) status(level pipeline.Level) pipeline.Status {
	u.t.Helper()
	st := u.readStatus()
	if st.Level != level {
		u.t.Errorf("level %s instead of %s: %+v", st.Level, level, st.Problems)
	}
	return st
}

// TestStatusTellsOfChanges: what the next cutover would refuse is told beforehand, with the id of its check.
func TestStatusTellsOfChanges(t *testing.T) {
	u := startServers(t, 15, 18).upgrade(t, small)
	u.run(exitOK, "sync")
	u.source.run("alter table orders add column colour text; select lo_create(4711)")
	var st struct {
		Problems []struct{ Check, Problem, Mend string } `json:"problems"`
	}
	u.run(exitOK, "status", "--json").into(&st)
	found := map[string]string{}
	for _, p := range st.Problems {
		found[p.Check] += p.Problem + p.Mend
	}
	for check, words := range map[string]string{"drift": "public.orders.colour was added on the source", "large-objects": "1 large object"} {
		if !strings.Contains(found[check], words) {
			t.Errorf("status does not say %q of %s: %v", words, check, found)
		}
	}
	u.source.run("alter table orders drop column colour; select lo_unlink(4711)")
	u.run(exitOK, "status", "--json").into(&st)
	if len(st.Problems) > 0 {
		t.Errorf("problems that are gone: %+v", st.Problems)
	}
}

// TestAcceptedWarnings are marked in check and plan, written into the journal, and told again at the end.
func TestAcceptedWarnings(t *testing.T) {
	u := startServers(t, 14, 16).upgrade(t, small+"create unlogged table cache (id int primary key);")
	u.run(exitOK, "check").says("warning  unlogged-tables")
	u.run(exitOK, "check", "--accept", "unlogged-tables,large-objects").says("accepted unlogged-tables")
	u.run(exitUsage, "check", "--accept", "nothing").says("--accept nothing: there is no such check")
	u.run(exitOK, "sync", "--accept", "unlogged-tables")
	u.target.is("unlogged-tables|true", `select f->>'check', f->>'accepted' from pgleap.run, jsonb_array_elements(plan::jsonb->'findings') f where f->>'check' = 'unlogged-tables'`)
	u.run(exitOK, "cutover", "--confirm", u.name).says("warning, accepted: unlogged-tables: public.cache")
}

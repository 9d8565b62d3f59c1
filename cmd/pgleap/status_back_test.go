package main

import (
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// TestStatusOfTrips: over a whole trip status says which server is the truth, whether pgleap rollback is possible, and
// which command finishes a switch that was killed; it changes nothing.
func TestStatusOfTrips(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, small)
	u.run(exitOK, "sync")
	is := func(level pipeline.Level, truth plan.Side, next string) pipeline.Status {
		t.Helper()
		during := u.snapshot()
		st := u.status(level)
		u.unchanged(during)
		if st.Truth != truth || !strings.HasPrefix(st.Next(), next) {
			t.Errorf("truth %s, next %q; want %s, %q", st.Truth, st.Next(), truth, next)
		}
		return st
	}
	is(pipeline.OK, plan.Source, "pgleap cutover")
	for trip, both := range []bool{false, true} { // at the second cutover the target is fenced, too
		u.runWith([]string{killAt + "=switch.committed"}, -1, "cutover", "--confirm", u.name)
		if st := is(pipeline.Critical, plan.Target, "pgleap cutover"); st.Unfinished != "cutover" || st.Fenced != true || st.TargetFenced != both {
			t.Errorf("trip %d: %+v", trip, st)
		}
		u.run(exitOK, "status").says("a cutover is past its point of no return and not finished: the target is the truth", "mend: pgleap cutover")
		for _, point := range []string{"switch.done", "release.done"} { // the target has been released, and the run is not complete
			u.runWith([]string{killAt + "=" + point}, -1, "cutover", "--confirm", u.name)
			if st := is(pipeline.Critical, plan.Target, "pgleap cutover"); st.Unfinished != "cutover" {
				t.Errorf("trip %d, killed at %s: %+v", trip, point, st)
			}
		}
		u.run(exitOK, "cutover", "--confirm", u.name)
		u.awaitOpen()
		if st := is(pipeline.OK, plan.Target, "pgleap finalize"); st.WayBack.Lag == nil || st.WayBack.Worker == nil || st.Unfinished != "" {
			t.Errorf("trip %d: %+v", trip, st.WayBack)
		}
		u.run(exitOK, "status").says("truth      the target", "way back   open: pgleap rollback is possible", "lag back", "by the target for the way back", "pgleap rollback goes back")
		u.runWith([]string{killAt + "=back-switch.committed"}, -1, "rollback", "--confirm", u.name)
		if st := is(pipeline.Critical, plan.Source, "pgleap rollback"); st.Unfinished != "rollback" || !st.Fenced || !st.TargetFenced {
			t.Errorf("trip %d: %+v", trip, st)
		}
		u.run(exitOK, "status").says("nobody can write anywhere until it is finished", "mend: pgleap rollback")
		u.runWith([]string{killAt + "=rolled-back.before"}, -1, "rollback", "--confirm", u.name)
		if st := is(pipeline.Critical, plan.Source, "pgleap rollback"); st.Unfinished != "rollback" {
			t.Errorf("trip %d: %+v", trip, st)
		}
		u.run(exitOK, "rollback", "--confirm", u.name)
		await(t, "the target to follow", func() bool { return u.readStatus().Level == pipeline.OK })
		if st := is(pipeline.OK, plan.Source, "pgleap cutover"); st.WayBack != nil || !st.TargetFenced || st.Fenced || st.Lag == nil {
			t.Errorf("trip %d: %+v", trip, st)
		}
		u.run(exitOK, "status").says("target     fenced", "truth      the source", "next       pgleap cutover")
	}
}

// awaitOpen waits until the old server follows the new one: its worker starts a moment after the switch.
func (u *upgrade) awaitOpen() {
	u.t.Helper()
	await(u.t, "the way back to be open", func() bool {
		st := u.readStatus()
		return st.WayBack != nil && st.WayBack.Possible
	})
}

// TestStatusOfWayBack: whatever closes the way back is told with its cause, and what can be mended is open again.
func TestStatusOfWayBack(t *testing.T) {
	s := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: 13}),
		target: pgserver.StartT(t, pgserver.Options{Major: 18, Settings: map[string]string{"max_slot_wal_keep_size": "1GB"}}),
	}
	schema := small + "create table prices (id int primary key, price numeric);"
	for name, c := range map[string]struct {
		flags []string
		harm  func(u *upgrade, back string)
		says  []string
		mend  func(u *upgrade, back string)
	}{
		"left out": {
			flags: []string{"--no-way-back"},
			says:  []string{"way back   closed: the run was begun without a way back (--no-way-back)", "next       pgleap finalize"},
		},
		"disabled": {
			harm: func(u *upgrade, back string) { u.source.run("alter subscription " + back + " disable") },
			says: []string{"is disabled: it does not follow", "enable; (on the source)", "closed: "},
			mend: func(u *upgrade, back string) { u.source.run("alter subscription " + back + " enable") },
		},
		"dropped": {
			harm: func(u *upgrade, back string) {
				u.source.run("alter subscription " + back + " disable")
				u.source.run("alter subscription " + back + " set (slot_name = none)")
				u.source.run("drop subscription " + back)
			},
			says: []string{"is gone from the old server", "pgleap finalize gives the old server up"},
		},
		"slot gone": {
			harm: func(u *upgrade, back string) {
				u.source.run("alter subscription " + back + " disable")
				await(u.t, "the slot to be dropped", func() bool {
					return u.target.run("select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where not active and slot_name = '"+back+"'") == "1"
				})
			},
			says: []string{"slot pgleap_", "is gone from the target", "the way back is lost"},
		},
		"a column": {
			harm: func(u *upgrade, _ string) { u.target.run("alter table orders add column colour text") },
			says: []string{"column public.orders.colour is not on the source", "make the same change on the old server", "closed: the definitions"},
			mend: func(u *upgrade, _ string) { u.source.run("alter table orders add column colour text") },
		},
		"a value": {
			harm: func(u *upgrade, _ string) { u.target.run("insert into prices values (1, 'Infinity')") },
			says: []string{"the old server has stopped following", "PostgreSQL 18 knows values of numeric that 13 does not", "public.prices.price", "the old server's log"},
		},
		"large objects": {
			harm: func(u *upgrade, _ string) { u.target.run("select lo_create(4711)") },
			says: []string{"large object", "closed: "},
			mend: func(u *upgrade, _ string) { u.target.run("select lo_unlink(4711)") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, schema)
			u.run(exitOK, append([]string{"sync"}, c.flags...)...)
			u.run(exitOK, "cutover", "--confirm", u.name)
			back := "pgleap_" + u.name + "_back"
			if c.harm != nil {
				u.awaitOpen()
				u.run(exitOK, "status").says("more until it is thrown away") // max_slot_wal_keep_size is set
				c.harm(u, back)
			}
			await(t, "status to say why", func() bool { return contains(u.run(exitOK, "status").stdout, c.says...) })
			st := u.readStatus()
			if st.WayBack == nil || st.WayBack.Possible || len(st.WayBack.Why) == 0 {
				t.Errorf("the way back is said to be open: %+v", st.WayBack)
			}
			if c.harm != nil && !slices.ContainsFunc(st.Problems, func(p pipeline.Problem) bool { return p.Check == "reverse-ready" && p.Mend != "" }) {
				t.Errorf("a problem without its mend: %+v", st.Problems)
			}
			if c.mend != nil {
				c.mend(u, back)
				u.awaitOpen()
				u.run(exitOK, "rollback", "--confirm", u.name)
			}
		})
	}
}

// TestStatusOfLostSlot: WAL that the target has thrown away closes the way back for good.
func TestStatusOfLostSlot(t *testing.T) {
	s := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: 16}),
		target: pgserver.StartT(t, pgserver.Options{Major: 18, Settings: map[string]string{"max_slot_wal_keep_size": "16MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}}),
	}
	u := s.upgrade(t, small)
	u.run(exitOK, "sync")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.awaitOpen()
	u.source.run("alter subscription pgleap_" + u.name + "_back disable")
	await(t, "the slot to be lost", func() bool {
		u.target.run("insert into orders (customer, note) select 1, repeat('x', 500) from generate_series(1, 20000); select pg_switch_wal(); checkpoint")
		return u.target.run("select wal_status from pg_replication_slots where slot_name = 'pgleap_"+u.name+"_back'") == "lost"
	})
	u.run(exitOK, "status").says("critical", "the target has thrown away WAL that the old server still needed (wal_status lost)", "closed: ", "pgleap finalize")
	u.run(exitOK, "finalize", "--confirm", u.name)
}

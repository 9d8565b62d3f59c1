package sync

import (
	"strings"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

func address(t *testing.T, uri string) pg.Address {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustExec(t *testing.T, s *pg.Session, sql string) {
	t.Helper()
	if _, err := s.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestDurableLooksAtItsOwnDatabase: runs of one name can lead into two databases of one cluster.
func TestDurableLooksAtItsOwnDatabase(t *testing.T) {
	server := pgserver.StartT(t, pgserver.Options{Major: 18})
	const run plan.RunID = "shop"
	states := map[string]string{"first": "done", "second": "absent"}
	sessions := map[string]*pg.Session{}
	for database := range states {
		admin, err := pg.OpenTarget(t.Context(), address(t, server.URI("postgres")), pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, admin.Session, "create database "+database)
		admin.Close()
		s, err := pg.OpenTarget(t.Context(), address(t, server.URI(database)), pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sessions[database] = s.Session
		mustExec(t, s.Session, "create subscription "+run.Object()+" connection 'dbname=none' publication p with (connect = false, slot_name = none, synchronous_commit = off)")
	}
	step := Durable(run)
	mustExec(t, sessions["first"], step.Do.SQL)
	for database, want := range states {
		var got string
		if err := sessions[database].QueryRow(t.Context(), step.Probe).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", database, got, err, want)
		}
		w, err := ReadWorker(t.Context(), &pg.Target{Session: sessions[database]}, run)
		if text := w.Trouble(); err != nil || !strings.Contains(text, "disabled") || !strings.Contains(text, "alter subscription pgleap_shop enable") {
			t.Errorf("%s: %q, %v", database, text, err)
		}
		mustExec(t, sessions[database], DropSubscriptionStatement(run))
	}
}

// TestSlotsOfOthersStay: another subscription of the target's cluster that copies from this database keeps its
// slot and its walsender; what a copy of ours left behind is dropped.
func TestSlotsOfOthersStay(t *testing.T) {
	a := address(t, pgserver.StartT(t, pgserver.Options{Major: 15}).URI("postgres"))
	const run plan.RunID = "shop"
	s, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustExec(t, s.Session, `create schema pgleap; comment on schema pgleap is 'pgleap run=shop side=source other=4711'`)
	for _, name := range []string{run.Object(), "pg_1_sync_2_4711", "pg_1_sync_2_4712"} {
		mustExec(t, s.Session, "select pg_create_logical_replication_slot('"+name+"', 'pgoutput')")
	}
	writer, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "writer"})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	mustExec(t, writer.Session, "begin; create table public.t (i int)")
	other, err := pg.OpenSourceReplication(t.Context(), a, "somebody") // a slot that waits is in use
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	created := make(chan error, 1)
	go func() {
		_, _, err := other.CreateSlot(t.Context(), pg.CreateSlotStatement("pg_8_sync_9_4711"))
		created <- err
	}()
	for active := false; !active; {
		if err := s.QueryRow(t.Context(), "select exists (select from pg_replication_slots where active)").Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if err := DropSlot(t.Context(), s, run, DropSlotStatement(run)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	var left string
	if err := s.QueryRow(t.Context(), "select string_agg(slot_name::text, ' ' order by slot_name) from pg_replication_slots").Scan(&left); err != nil || left != "pg_1_sync_2_4712 pg_8_sync_9_4711" {
		t.Errorf("left: %s, %v", left, err)
	}
	mustExec(t, writer.Session, "rollback")
	if err := <-created; err != nil {
		t.Errorf("the other's walsender was ended: %v", err)
	}
}

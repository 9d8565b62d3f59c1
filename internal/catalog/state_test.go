package catalog_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

func testTarget(t *testing.T, db *pg.Source) {
	if db.Version().Major() == pgver.Oldest {
		return // never a target
	}
	exec(t, db, "alter database cat set default_transaction_read_only = on")
	defer exec(t, db, "alter database cat reset default_transaction_read_only")
	f := read(t, db, plan.Target, "shop")
	same(t, "read only", f.ReadOnly, true)
	same(t, "sample", len(f.UserObjects), 20)
	if !slices.Contains(f.UserObjects, "table app.by_index") {
		t.Errorf("objects %q", f.UserObjects)
	}
	if len(f.Available["plpgsql"]) == 0 {
		t.Errorf("available extensions %v", f.Available)
	}
}

// testSessions opens a transaction in another database and one that is prepared; time is what it is about,
// so the clock of the server is waited for.
func testSessions(t *testing.T, server *pgserver.Server, db *pg.Source) {
	exec(t, db, "create table app.tx (id int)")
	other := open(t, server.URI("postgres"))
	exec(t, other, "create table public.elsewhere (id int); begin; insert into public.elsewhere values (1)")
	defer exec(t, other, "rollback")
	exec(t, db, "begin; insert into app.tx values (1); prepare transaction 'a ''gid'")
	defer exec(t, db, "rollback prepared 'a ''gid'")

	f := read(t, db, plan.Source, "shop")
	if len(f.Prepared) != 1 || f.Prepared[0].GID != "a 'gid" || f.Prepared[0].Owner != "postgres" || f.Prepared[0].Database != "cat" {
		t.Errorf("prepared transactions %+v", f.Prepared)
	}
	same(t, "a young transaction", len(f.Transactions), 0)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for len(f.Transactions) == 0 && ctx.Err() == nil {
		<-tick.C
		f = read(t, db, plan.Source, "shop")
	}
	if len(f.Transactions) != 1 {
		t.Fatalf("transactions %+v", f.Transactions)
	}
	got := f.Transactions[0]
	if got.Seconds < 5 || got.Seconds > 30 {
		t.Errorf("age %v s", got.Seconds)
	}
	got.Seconds, got.Query = 0, ""
	same(t, "transaction", got, plan.Transaction{
		PID: int(other.PID()), User: "postgres", Database: "postgres", Application: "pgleap/test", State: "idle in transaction", Writes: true,
	})
}

// testLocked holds an exclusive lock on a table: reading must not wait for it.
func testLocked(t *testing.T, server *pgserver.Server, db *pg.Source) {
	other := open(t, server.URI("cat"))
	exec(t, other, "begin; lock table app.plain in access exclusive mode")
	defer exec(t, other, "rollback")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f, err := catalog.Read(ctx, db, plan.Source, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if plain := relation(t, f, "plain"); plain.Bytes < 100_000 {
		t.Errorf("size of a locked table: %d", plain.Bytes)
	}
}

func testLeftovers(t *testing.T, db *pg.Source) {
	exec(t, db, `create schema pgleap; comment on schema pgleap is 'pgleap run=old_one something';
		create table pgleap.event (id int);
		create publication pgleap_shop; create publication pgleap_old_one; create publication theirs;
		create function pgleap.fence() returns trigger language plpgsql as 'begin return null; end';
		create trigger zz_pgleap_fence before insert on "Odd Schema"."Ta.ble ""x""" for each statement execute procedure pgleap.fence();
		create subscription pgleap_old_one connection 'host=nowhere' publication p with (connect = false, slot_name = none)`)
	exec(t, db, "select pg_create_logical_replication_slot('pgleap_shop', 'pgoutput')")
	exec(t, db, "select pg_create_logical_replication_slot('pg_16400_sync_16385_7310', 'pgoutput')")
	f := read(t, db, plan.Source, "shop")
	var got []string
	for _, l := range f.Leftovers {
		text := l.Kind + " " + l.Name + " of " + l.Run
		if l.Own {
			text += " (own)"
		}
		got = append(got, text)
	}
	same(t, "leftovers", got, []string{
		"publication pgleap_old_one of old_one",
		"publication pgleap_shop of shop (own)",
		"schema pgleap of old_one",
		"slot pg_16400_sync_16385_7310 of shop (own)",
		"slot pgleap_shop of shop (own)",
		"subscription pgleap_old_one of old_one",
		`trigger "Odd Schema"."Ta.ble ""x""" of old_one`,
	})
	same(t, "slots used", f.SlotsUsed, 2)
	for _, r := range f.Relations {
		if r.Name.Schema == "pgleap" {
			t.Errorf("%s is ours", r.Name)
		}
	}
	// the statements that we print do what they say; the schema goes last, the trigger needs its function
	for _, l := range f.Leftovers {
		if l.Kind != "schema" {
			runEach(t, db, l.Drop)
		}
	}
	exec(t, db, f.Leftovers[2].Drop)
	same(t, "leftovers after the drops", len(read(t, db, plan.Source, "shop").Leftovers), 0)
}

// runEach runs statements one by one, as an operator's paste into psql does.
func runEach(t *testing.T, db *pg.Source, sql string) {
	t.Helper()
	for _, s := range strings.Split(strings.TrimSuffix(sql, ";"), "; ") {
		exec(t, db, s)
	}
}

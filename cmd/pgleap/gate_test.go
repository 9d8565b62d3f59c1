package main

import (
	"strings"
	"testing"

	"pgleap/internal/pgserver"
)

// TestGate: what comes up on the source after sync and that replication does not carry is refused before
// anybody has to wait, with its name and the way out. The source is a 10, which does not publish TRUNCATE.
func TestGate(t *testing.T) {
	u := startServers(t, 10, 18).upgrade(t, small+`; create table staging (id int primary key); insert into staging select generate_series(1, 50);
		create table settings (id int primary key); alter extension plpgsql add table settings`)
	u.run(exitOK, "plan").says("publish.filenodes", "pg_relation_filenode")
	u.run(exitOK, "sync")
	cutover := []string{"cutover", "--confirm", u.name}
	writable := func() {
		t.Helper()
		u.source.run("insert into customers (name) values ('still here')")
	}

	lo := u.source.run("select lo_from_bytea(0, 'x')")
	u.run(exitNotReady, cutover...).says("large-objects: the database has 1 large object", "vacuumlo", "writes were never stopped")
	writable()
	u.source.run("select lo_unlink(" + lo + ")")

	// Somebody's lock on the target stops apply: the writers of the source need not wait with it.
	u.source.run("insert into settings values (1)")
	blocker := connect(t, u.targetURI)
	pid := blocker.run("begin; lock table customers in share mode; select pg_backend_pid()")
	writable()
	u.run(exitNotSwitched, append(cutover, "--max-write-stall", "1s")...).says("writes were never stopped", "nothing was applied for 1 s", "pid "+pid, "select pg_terminate_backend("+pid+")")
	p := u.start(nil, append(cutover, "--json", "--max-write-stall", "20s")...)
	p.awaits("the apply worker waits for a lock, so the drain could not end: pid " + pid)
	p.awaits("new since the run was begun: extension-data: public.settings")
	p.awaits("alter extension plpgsql drop table public.settings")
	u.source.is("0", "select count(*) from pg_locks where mode = 'ShareRowExclusiveLock'")
	writable()
	p.interrupt().exits(exitInterrupted)
	blocker.run("rollback")

	u.source.run("truncate staging; insert into staging values (1)")
	for range 2 { // it goes on being refused
		o := u.run(exitDrift, cutover...).says("1 table of the source got another file", "public.staging", "TRUNCATE", "VACUUM FULL", "CLUSTER", "ALTER TABLE", "pgleap abort, then pgleap sync")
		if strings.Contains(o.stdout+o.stderr, "public.customers") {
			t.Errorf("a table that was let be is named:\n%s", o)
		}
	}
	writable()

	// The definitions are equal, and yet nothing of the new table is published.
	u.source.run("begin; create temp table kept as table staging; drop table staging; create table staging (id int primary key); insert into staging table kept; commit")
	u.run(exitDrift, cutover...).says("publication pgleap_"+u.name+" lacks 1 table of the source", "public.staging", "pgleap abort")
	u.run(exitOK, "abort")
}

// TestGateIdentity: a key that goes after sync is named with its mend, and so is a transaction that was
// prepared; where TRUNCATE is published nothing of files is planned, and a truncated table is no hindrance.
func TestGateIdentity(t *testing.T) {
	p := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: 13, Settings: map[string]string{"max_prepared_transactions": "5"}}),
		target: pgserver.StartT(t, pgserver.Options{Major: 17}),
	}
	u := p.upgrade(t, small)
	if o := u.run(exitOK, "plan"); strings.Contains(o.stdout, "filenodes") {
		t.Errorf("files are remembered where TRUNCATE travels:\n%s", o)
	}
	u.run(exitOK, "sync")
	for _, side := range []*client{u.source, u.target} {
		side.run("alter table orders replica identity nothing")
	}
	u.run(exitNotReady, "cutover", "--confirm", u.name).says("replica-identity: public.orders has replica identity nothing", "alter table public.orders replica identity default;")
	for _, side := range []*client{u.source, u.target} {
		side.run("alter table orders replica identity default")
	}

	u.source.run("begin; update customers set name = 'x' where id = 1")
	u.source.run("prepare transaction 'theirs'")
	u.run(exitNotReady, "cutover", "--confirm", u.name).says("prepared-transactions: transaction theirs", "commit prepared 'theirs'")
	u.source.run("commit prepared 'theirs'")

	elsewhere := connect(t, p.source.URI("postgres")) // its locks are not in the way
	elsewhere.run("begin; create table t (i int)")
	elsewhere.run("prepare transaction 'elsewhere'")
	u.source.run("truncate orders; insert into orders (customer) values (1)")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.is("1|x", "select (select count(*) from orders), (select name from customers where id = 1)")
}

// TestDurable: apply commits synchronously from right before the switch on, and asynchronously again when it is not made.
func TestDurable(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, small)
	commits := func(want string) {
		t.Helper()
		u.target.is(want, "select subsynccommit from pg_subscription where subname = 'pgleap_"+u.name+"'")
	}
	u.run(exitOK, "sync")
	commits("off")
	u.killed("switch.marked", "cutover", "--confirm", u.name)
	commits("on")
	u.run(exitOK, "cutover", "--rehearse", "--confirm", u.name)
	commits("off")
	p := u.cutover(nil, "--hold")
	p.awaits("pgleap cutover --go")
	commits("off")
	u.run(exitOK, "cutover", "--go")
	p.wait().exits(exitOK)
	commits("on")
	u.run(exitOK, "rollback", "--confirm", u.name)
	commits("off")
	u.equal()
}

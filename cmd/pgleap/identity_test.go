package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// noIdentity are tables that cannot publish their updates, each for a reason of its own.
const noIdentity = `create table whole (what text);
create table by_index (id int not null, what text); create unique index by_index_uk on by_index (id); create index by_index_what on by_index (what);
create table by_constraint (a int not null, b int not null, what text, constraint "uk '1'" unique (a, b));
create table nothing (id int primary key, what text); alter table nothing replica identity nothing;
create table lost (id int not null, what text); create unique index lost_uk on lost (id); alter table lost replica identity using index lost_uk; drop index lost_uk;
create table "Odd ""T's" (id int primary key deferrable, what text);
create table fine (id int primary key, what text);`

var (
	identityTables = []string{"whole", "by_index", "by_constraint", "nothing", "lost", `"Odd ""T's"`, "fine"}
	mended         = identityTables[:6]
)

const identities = `select relname, relreplident, (select indexrelid::regclass from pg_index where indrelid = c.oid and indisreplident)
	from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace order by relname::text collate "C"`

func fillIdentities(u *upgrade) {
	for _, table := range identityTables {
		switch table {
		case "whole":
			u.source.run("insert into whole select 'row ' || n from generate_series(1, 40) n")
		case "by_constraint":
			u.source.run("insert into by_constraint select n, -n, 'row' from generate_series(1, 40) n")
		default:
			u.source.run("insert into " + table + " select n, 'row ' || n from generate_series(1, 40) n")
		}
	}
}

// change is what fails on the source when a published table has no identity, and what apply must find again.
func changeIdentities(u *upgrade) {
	u.t.Helper()
	for _, table := range identityTables {
		key := "id"
		switch table {
		case "whole":
			key = "split_part(what, ' ', 2)::int"
		case "by_constraint":
			key = "a"
		}
		u.source.run(fmt.Sprintf("update %[1]s set what = 'changed ' || %[2]s where %[2]s between 1 and 10; delete from %[1]s where %[2]s > 30", table, key))
	}
}

// TestSetReplicaIdentity: with the flag every table can be changed while it is published, its changes arrive, and
// in the end the source is what it was. Without the flag nothing begins.
func TestSetReplicaIdentity(t *testing.T) {
	for _, pair := range [][2]int{{10, 12}, {13, 18}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) {
			s := startServers(t, pair[0], pair[1])
			t.Run("finalized", func(t *testing.T) {
				u := s.upgrade(t, noIdentity)
				fillIdentities(u)
				before := dump(t, u.sourceURI, "--schema-only")
				was := u.source.run(identities)
				check := u.run(exitBlocked, "check")
				for _, table := range mended {
					check.says("replica-identity", "public."+table)
				}
				check.says("--set-replica-identity")
				u.run(exitBlocked, "sync")
				u.run(exitOK, "check", "--set-replica-identity", "--accept", "replica-identity").says("replica identity using index by_index_uk", "accepted")
				u.run(exitOK, "sync", "--set-replica-identity")
				changeIdentities(u)
				u.run(exitOK, "sync")
				u.run(exitOK, "cutover", "--confirm", u.name)
				for _, table := range identityTables {
					rows := "select count(*), count(*) filter (where what like 'changed%'), sum(hashtext(r::text)::bigint) from " + table + " r"
					u.target.is(u.source.run(rows), rows)
				}
				u.target.is("30|10", "select count(*), count(*) filter (where what like 'changed%') from whole")
				u.target.is(u.source.run(identities), identities)
				u.run(exitOK, "finalize", "--confirm", u.name)
				was = strings.ReplaceAll(was, "lost|i", "lost|d") // its index was gone: a dump says default for both
				u.source.is(was, identities)
				u.target.is(was, identities)
				if now := dump(t, u.sourceURI, "--schema-only"); now != before {
					t.Errorf("the source is not what it was:\n%s", now)
				}
			})
			for name, end := range map[string][]string{"aborted": nil, "aborted on the source alone": {"PGLEAP_TARGET="}} {
				t.Run(name, func(t *testing.T) {
					u := s.upgrade(t, noIdentity)
					fillIdentities(u)
					before, empty := dump(t, u.sourceURI), dump(t, u.targetURI)
					u.run(exitOK, "sync", "--set-replica-identity")
					u.runWith(end, exitOK, "abort")
					if now := dump(t, u.sourceURI); now != before {
						t.Errorf("the source is not what it was:\n%s", now)
					}
					u.run(exitOK, "abort")
					if now := dump(t, u.targetURI); now != empty {
						t.Errorf("the target is not what it was:\n%s", now)
					}
				})
			}
		})
	}
}

// TestSetReplicaIdentityKilled: dead at any point between the first identity and the publication, and while they
// are put back, the same command goes on, and an abort leaves what was there before.
func TestSetReplicaIdentityKilled(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, point := range []string{"publish.schema.done", "publish.identity.public.by_index.before", "publish.identity.public.by_index.after", "publish.identity.public.whole.done", "schema.replica-identity.public.whole.before"} {
		t.Run(point, func(t *testing.T) {
			u := s.upgrade(t, noIdentity)
			fillIdentities(u)
			before := dump(t, u.sourceURI)
			u.killed(point, "sync", "--set-replica-identity")
			u.run(exitOK, "abort")
			if now := dump(t, u.sourceURI); now != before {
				t.Errorf("the source is not what it was after an abort:\n%s", now)
			}
			u.killed(point, "sync", "--set-replica-identity")
			u.run(exitOK, "sync")
			u.killed("publish.identity.public.nothing.undone", "abort")
			u.run(exitOK, "abort")
			if now := dump(t, u.sourceURI); now != before {
				t.Errorf("the source is not what it was after an abort that was killed:\n%s", now)
			}
		})
	}
	t.Run("finalize", func(t *testing.T) {
		u := s.upgrade(t, noIdentity)
		before := dump(t, u.sourceURI)
		u.run(exitOK, "sync", "--set-replica-identity")
		u.run(exitOK, "cutover", "--confirm", u.name)
		for _, point := range []string{"finalize.identity.source.public.by_index.after", "finalize.identity.target.public.whole.before", "finalize.fence.done"} {
			u.killed(point, "finalize", "--confirm", u.name)
		}
		u.run(exitOK, "finalize", "--confirm", u.name)
		if now := dump(t, u.sourceURI); now != before {
			t.Errorf("the source is not what it was:\n%s", now)
		}
	})
}

// killed runs a command that kills itself at the point.
func (u *upgrade) killed(point string, args ...string) {
	u.t.Helper()
	u.start([]string{killAt + "=" + point}, args...).diesAt(point)
}

// diesAt waits for the process to be killed at the point.
func (p *process) diesAt(point string) {
	p.t.Helper()
	p.wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		p.t.Fatalf("pgleap %v was not killed at %s: %v", p.args, point, p.cmd.ProcessState)
	}
}

// TestSetReplicaIdentityWaits: a table in use is waited for in short attempts, its user is named, and nobody
// queues behind us for long; at the deadline nothing is lost.
func TestSetReplicaIdentityWaits(t *testing.T) {
	u := startServers(t, 15, 17).upgrade(t, noIdentity)
	fillIdentities(u)
	before := dump(t, u.sourceURI)
	reader := connect(t, u.sourceURI)
	pid := reader.run("begin; lock table by_index in access share mode; select pg_backend_pid()")
	u.run(exitNotReady, "sync", "--set-replica-identity", "--slot-timeout", "3s").says("by_index", "the table was in use for 3 s", "pid "+pid)
	p := u.start(nil, "sync", "--json")
	p.awaits("pid " + pid)
	u.source.run("set lock_timeout = '10s'; select count(*) from by_index")
	reader.run("commit")
	p.wait().exits(exitOK)
	u.run(exitOK, "abort")
	if now := dump(t, u.sourceURI); now != before {
		t.Errorf("the source is not what it was:\n%s", now)
	}
}

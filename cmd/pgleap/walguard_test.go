package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// keeps writes WAL until the source keeps so many MiB of it for the run.
func (u *upgrade) keeps(megabytes int) {
	u.t.Helper()
	await(u.t, fmt.Sprintf("%d MiB of WAL to be kept", megabytes), func() bool {
		u.source.run("select pg_logical_emit_message(false, 'pgleap-test', repeat('x', 1000000))")
		return u.source.run(fmt.Sprintf("select pg_current_wal_lsn() - restart_lsn >= %d from pg_replication_slots where slot_name = 'pgleap_%s'", megabytes<<20, u.name)) == "t"
	})
}

// usesUp lets the WAL that is kept grow to what is warned of, to what is held back for, and to the end of 64MB.
func (u *upgrade) usesUp(p *process, held string) {
	u.t.Helper()
	u.keeps(36)
	p.awaits("At the limit the run is given up and taken back")
	u.keeps(52)
	p.awaits(held)
	u.keeps(65)
	p.awaits("GIVING UP")
}

// atPoint starts pgleap and returns when it has stopped itself there.
func (u *upgrade) atPoint(point string, args ...string) *process {
	u.t.Helper()
	p := u.start([]string{stopAt + "=" + point}, args...)
	awaitStopped(u.t, p)
	return p
}

// gaveUp fails the test unless the run is gone without a trace, and the source serves.
func (u *upgrade) gaveUp(p *process, before snapshot) {
	u.t.Helper()
	p.wait().exits(exitBlocked).says("of 64 MB (--max-retained-wal)", "At the limit the run is given up", "GIVING UP: slot pg", "nothing of it is left", "then pgleap sync")
	u.unchanged(before)
	u.source.run("insert into customers (name) values ('afterwards')")
}

// TestWALGuardGivesUp: with its budget for WAL used up a run warns, holds back what can wait, and is taken back.
func TestWALGuardGivesUp(t *testing.T) {
	for _, pair := range [][2]int{{10, 15}, {15, 18}} {
		t.Run(fmt.Sprintf("%d_%d", pair[0], pair[1]), func(t *testing.T) {
			t.Parallel()
			s := startServers(t, pair[0], pair[1])
			t.Run("server", func(t *testing.T) {
				u := s.upgrade(t, small)
				before := u.snapshot()
				p := u.atPoint("subscribe.subscription.done", "sync", "--json", "--max-retained-wal", "64MB")
				holder := connect(t, u.targetURI)
				holder.run("begin; lock table customers, orders")
				p.signal(syscall.SIGCONT)
				await(t, "a copy to begin", func() bool {
					return u.source.run("select count(*) from pg_replication_slots where slot_name ~ '_sync_'") != "0" || pair[1] >= 15 && u.target.run("select count(*) from pg_subscription_rel where srsubstate = 'd'") != "0"
				})
				u.source.run("insert into customers (name) values ('apply waits for this one')")
				u.usesUp(p, "no other table begins, so that those which have catch up: slot pg")
				await(t, "the slot to go although the target is locked", func() bool {
					return u.source.run("select count(*) from pg_replication_slots where database = current_database()") == "0"
				})
				holder.run("rollback")
				u.source.run("delete from customers where name ~ 'apply waits'")
				u.gaveUp(p, before)
			})
			t.Run("stream", func(t *testing.T) {
				u := s.upgrade(t, small+"; insert into customers (name) select repeat(md5(g::text), 100) from generate_series(1, 1000) g")
				before := u.snapshot()
				p := u.start(nil, "sync", "--json", "--copy", "stream", "--max-copy-rate", "0.05", "--max-retained-wal", "64MB")
				await(t, "the slot", func() bool {
					return u.source.run("select count(*) from pg_replication_slots where confirmed_flush_lsn is not null and database = current_database()") == "1"
				})
				u.usesUp(p, "The copy is not slowed down")
				u.gaveUp(p, before)
			})
		})
	}
}

// TestWALGuardHoldsIndexBuilds: behind the copy, too, what makes apply wait is held back, and a run is given up in the
// middle of it.
func TestWALGuardHoldsIndexBuilds(t *testing.T) {
	u := startServers(t, 14, 18).upgrade(t, small)
	before := u.snapshot()
	p := u.atPoint("subscribe.copy.done", "sync", "--json", "--jobs", "1", "--max-retained-wal", "64MB")
	apply, build := connect(t, u.targetURI), connect(t, u.targetURI)
	apply.run("begin; lock table customers in exclusive mode")
	build.run("begin; lock table orders in exclusive mode")
	u.source.run("insert into customers (name) values ('apply waits for this one')")
	u.keeps(52)
	p.signal(syscall.SIGCONT)
	p.awaits("At the limit the run is given up and taken back")
	build.run("rollback")
	p.awaits("no other index build begins, so that apply can catch up: slot pgleap_" + u.name)
	u.keeps(65)
	p.awaits("GIVING UP")
	await(t, "the slot to go although the target is locked", func() bool {
		return u.source.run("select count(*) from pg_replication_slots where database = current_database()") == "0"
	})
	apply.run("rollback")
	u.gaveUp(p, before)
}

// TestWALGuardFreesSource: where the target has gone away meanwhile, the source is freed all the same.
func TestWALGuardFreesSource(t *testing.T) {
	s := startServers(t, 15, 18)
	u := s.upgrade(t, small+"; insert into customers (name) select repeat(md5(g::text), 100) from generate_series(1, 1000) g")
	before := u.snapshot()
	p := u.start([]string{stopAt + "=guard.giving-up"}, "sync", "--json", "--copy", "stream", "--max-copy-rate", "0.01", "--max-retained-wal", "32MB")
	await(t, "the slot", func() bool {
		return u.source.run("select count(*) from pg_replication_slots where confirmed_flush_lsn is not null") == "1"
	})
	u.keeps(33)
	awaitStopped(t, p)
	if err := s.target.Halt(t.Context(), "fast"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGCONT)
	p.wait().exits(exitBlocked).says("the source keeps no WAL for it any more, but the target could not be cleared", "pgleap abort when the target can be reached again")
	u.source.is("f", "select exists (select from pg_replication_slots) or exists (select from pg_publication) or to_regnamespace('pgleap') is not null")
	if err := s.target.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.target = connect(t, u.targetURI)
	u.run(exitOK, "abort")
	u.unchanged(before)
}

// TestWALGuardLost: a copy whose slot the source has given up ends at once, not when everything is copied.
func TestWALGuardLost(t *testing.T) {
	s := &servers{source: pgserver.StartT(t, pgserver.Options{Major: 14, Settings: map[string]string{"max_slot_wal_keep_size": "32MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}}), target: pgserver.StartT(t, pgserver.Options{Major: 18})}
	u := s.upgrade(t, small+"; insert into customers (name) select repeat(md5(g::text), 100) from generate_series(1, 1000) g")
	p := u.start(nil, "sync", "--json", "--copy", "stream", "--max-copy-rate", "0.01")
	await(t, "the slot", func() bool {
		return u.source.run("select count(*) from pg_replication_slots where confirmed_flush_lsn is not null") == "1"
	})
	u.source.run("select pg_logical_emit_message(false, 'pgleap-test', repeat('x', 30000000))")
	p.awaits("(max_slot_wal_keep_size)")
	await(t, "the slot to be lost", func() bool {
		u.source.run("select pg_logical_emit_message(false, 'pgleap-test', repeat('x', 30000000))")
		u.source.run("checkpoint")
		return u.source.run("select wal_status from pg_replication_slots") == "lost"
	})
	p.wait().exits(exitNotReady).says("wal_status lost", "raise max_slot_wal_keep_size")
	u.run(exitOK, "abort")
}

// TestWALGuardLets: a limit that is not reached harms nobody; the newest word counts, and status knows it.
func TestWALGuardLets(t *testing.T) {
	u := startServers(t, 13, 17).upgrade(t, small)
	u.run(exitOK, "sync", "--max-retained-wal", "20GB")
	limit := func(want int64) {
		t.Helper()
		if st := u.status(pipeline.OK); st.Kept == nil || st.Kept.Limit != want || st.Kept.Slot != "pgleap_"+u.name || want > 0 && st.Kept.Of != "--max-retained-wal" {
			t.Errorf("retained: %+v", st.Kept)
		}
	}
	limit(20 << 30)
	u.run(exitOK, "sync")
	limit(20 << 30)
	u.run(exitOK, "sync", "--max-retained-wal", "5GB")
	u.run(exitOK, "sync", "--max-copy-rate", "7")
	limit(5 << 30)
	u.run(exitOK, "status").says("WAL limit  slot pgleap_"+u.name+" keeps", "5 GB (--max-retained-wal)")
	u.run(exitOK, "sync", "--max-retained-wal", "0")
	limit(0)
	u.target.run("alter subscription pgleap_" + u.name + " disable")
	u.run(exitOK, "sync", "--max-retained-wal", "1MB")
	u.source.run("select pg_logical_emit_message(false, 'pgleap-test', repeat('x', 3000000))")
	u.run(exitOK, "status").says("critical", "of 1 MB (--max-retained-wal)", "pgleap abort")
}

// TestLimitFlags: what cannot be a limit is refused before anything is asked.
func TestLimitFlags(t *testing.T) {
	u := &upgrade{t: t, servers: &servers{source: &pgserver.Server{Password: "not-to-be-said"}, target: &pgserver.Server{Password: "not-to-be-said"}}, sourceURI: "postgres://127.0.0.1:1/x", targetURI: "postgres://127.0.0.1:1/y"}
	for args, says := range map[string]string{
		"--max-copy-rate fast": "MiB per second", "--max-copy-rate -1": "MiB per second", "--max-copy-rate 20MB": "MiB per second",
		"--max-retained-wal 20": "no unit", "--max-retained-wal x": "20GB", "--max-retained-wal 1kB": "at least 1MB", "--max-standby-lag 1kB": "at least 1MB",
	} {
		u.run(exitUsage, append([]string{"sync"}, strings.Fields(args)...)...).says(says)
	}
}

// fourTables are of 2 MiB each; as text of a COPY they are as much.
const fourTables = `do $$ begin for n in 1..4 loop
  execute format('create table t%s (id int primary key, doc text)', n);
  execute format('alter table t%s alter doc set storage external', n);
  execute format('insert into t%s select g, repeat(md5(g::text), 1024) from generate_series(1, 64) g', n);
end loop; end $$`

// TestMaxCopyRate: a first copy never goes faster than it may, by more than a fifth.
func TestMaxCopyRate(t *testing.T) {
	const megabytes, rate = 8.0, 2.0
	s := startServers(t, 13, 18)
	for way, c := range map[string]struct {
		step  plan.StepID
		least float64 // megabytes that are gone when the step ends, by the limit
	}{
		"stream": {"subscribe.stream", megabytes},
		"server": {"subscribe.copy", megabytes * 3 / 4}, // the last one is not slowed down
	} {
		t.Run(way, func(t *testing.T) {
			u := s.upgrade(t, fourTables)
			o := u.run(exitOK, "sync", "--json", "--copy", way, "--max-copy-rate", fmt.Sprint(rate))
			took := 0.0
			for _, e := range o.events() {
				if e.Kind == plan.EventStep && e.Step == c.step {
					took = e.Seconds
				}
			}
			if got := c.least / took; got > 1.2*rate {
				t.Errorf("%.1f MiB/s instead of %.1f:\n%s", got, rate, o.stdout)
			}
			t.Logf("%.2f MiB/s, limit %.1f", c.least/took, rate)
			u.equal()
		})
	}
}

// held counts the sessions that keep tables from beginning.
const held = `select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pgleap/sync' and state = 'idle in transaction' and query ~ 'pg_subscription_rel'`

// TestCopyHeldKilled: without the process that held tables back, they are all copied, and the same command ends the run.
func TestCopyHeldKilled(t *testing.T) {
	for _, major := range []int{13, 15, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			u := startServers(t, 12, major).upgrade(t, fourTables)
			p := u.start(nil, "sync", "--json", "--max-copy-rate", "0.01")
			p.awaits("(--max-copy-rate)")
			begun := "select count(*) from pg_subscription_rel where srsubstate <> 'i'"
			if n := u.target.run(begun); n == "5" || u.target.run(held) == "0" {
				t.Fatalf("%s of 5 tables have begun, %s are held", n, u.target.run(held))
			}
			u.source.is("t", "select bool_and(xmin is null) and count(*) <= 3 from pg_replication_slots")
			p.signal(syscall.SIGKILL)
			await(t, "everything to be copied without us", func() bool {
				u.source.run("update t1 set doc = doc where id = 1") // a table that caught up notices it when something comes
				return u.target.run(begun+" and srsubstate in ('s', 'r')") == "5"
			})
			u.target.is("0", held)
			u.run(exitOK, "sync", "--max-copy-rate", "0")
			u.equal()
		})
	}
}

// TestCopyJobsOfServer: with --copy server it is so many tables at a time, and no other begins meanwhile.
func TestCopyJobsOfServer(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, fourTables)
	p := u.atPoint("subscribe.subscription.done", "sync", "--json", "--copy-jobs", "1")
	holder := connect(t, u.sourceURI)
	holder.run("begin; lock table t1, t2, t3, t4")
	p.signal(syscall.SIGCONT)
	copying := "select count(*) from pg_subscription_rel where srsubstate = 'd'"
	await(t, "a table to wait for its lock on the source", func() bool { return u.target.run(copying+" and srrelid <> 'pgleap.marker'::regclass") == "1" })
	p.awaits("(--copy-jobs)")
	u.target.is("1", copying)
	holder.run("rollback")
	p.wait().exits(exitOK)
	u.equal()

	u = s.upgrade(t, small)
	u.target.run("create role plain login createrole password 'plain-" + u.name + "' in role pg_create_subscription; grant create on database " + u.name + " to plain; grant all on schema public to plain")
	plain := u.servers.target.URIFor("plain", "plain-"+u.name, u.name)
	u.runWith([]string{"PGLEAP_TARGET=" + plain}, exitBlocked, "sync", "--max-copy-rate", "5").says("superuser", "--copy stream")
	u.source.is("f", "select to_regnamespace('pgleap') is not null")
}

// TestCopyPausesForStandby: while a standby of the source is far behind the copy stands still, and goes on by itself.
func TestCopyPausesForStandby(t *testing.T) {
	s := startServers(t, 15, 18)
	standby := s.follower(t)
	for way, c := range map[string]struct{ says, there string }{
		"stream": {"the copy is paused: standby", "select count(*) from pgleap.event where kind = 'step-done' and step like 'subscribe.index.%'"}, // a table is locked while its rows come
		"server": {"no other table begins: standby", "select count(*) from t1"},
	} {
		t.Run(way, func(t *testing.T) {
			u := s.upgrade(t, fourTables)
			standby.run("select pg_wal_replay_pause()")
			await(t, "replay to stand still", func() bool { return standby.run("select pg_get_wal_replay_pause_state()") == "paused" })
			u.source.run("select pg_logical_emit_message(false, 'pgleap-test', repeat('x', 3000000))")
			p := u.start(nil, "sync", "--json", "--copy", way, "--max-standby-lag", "2MB")
			p.awaits(c.says)
			u.target.is("0", c.there)
			standby.run("select pg_wal_replay_resume()")
			p.wait().exits(exitOK).says("the copy goes on: the standbys are")
			u.equal()
		})
	}
	t.Run("none", func(t *testing.T) { // our own walsenders are no standbys, whatever the role may see of them
		u := startServers(t, 15, 18).upgrade(t, "")
		p, holder := u.copyUnseeing()
		looked := "select coalesce((select max(query_start)::text from pg_stat_activity where query like '%r.replay_lsn is not null%' and pid <> pg_backend_pid()), '')"
		for range 3 {
			before := u.source.run(looked)
			await(t, "the next look at the standbys, while a table is copied", func() bool {
				now := u.source.run(looked)
				return u.target.run("select count(*) from pg_subscription_rel where srsubstate = 'd'") != "0" && now != "" && now != before
			})
		}
		holder.run("commit")
		if o := p.wait().exits(exitOK); strings.Contains(o.stdout+o.stderr, "does not pause for standbys") {
			t.Errorf("standbys are told of where none is\n%s", o)
		}
	})
	t.Run("unseen", func(t *testing.T) { // a role without pg_monitor is told that nobody looks
		u := s.upgrade(t, "")
		p, holder := u.copyUnseeing()
		p.awaits("the copy does not pause for standbys")
		holder.run("commit")
		p.wait().exits(exitOK).says("grant pg_monitor to plain")
		u.equal()
	})
}

// copyUnseeing starts a copy as a role that may not look at other sessions. It does not end before holder commits.
func (u *upgrade) copyUnseeing() (p *process, holder *client) {
	u.t.Helper()
	u.source.run("create role plain login replication password 'plain-" + u.name + "'; grant create on database " + u.name + " to plain; grant all on schema public to plain")
	plain := u.servers.source.URIFor("plain", "plain-"+u.name, u.name)
	connect(u.t, plain).run(fourTables)
	u.target.run("create role plain")
	p = u.start([]string{"PGLEAP_SOURCE=" + plain, stopAt + "=subscribe.subscription.before"}, "sync", "--json", "--copy", "server")
	awaitStopped(u.t, p)
	holder = connect(u.t, u.targetURI)
	holder.run("begin; lock table t1 in share mode")
	goOn(u.t, p)
	return p, holder
}

// follower starts a standby that streams from the source.
func (p *servers) follower(t *testing.T) *client {
	t.Helper()
	if err := p.source.Halt(t.Context(), "fast"); err != nil {
		t.Fatal(err)
	}
	made, err := p.source.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := p.source.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := connect(t, made.URI("postgres"))
	c.run(fmt.Sprintf("alter system set primary_conninfo = 'host=127.0.0.1 port=%d user=%s password=%s'", p.source.Port, p.source.Superuser, p.source.Password))
	c.run("select pg_reload_conf()")
	source := connect(t, p.source.URI("postgres"))
	await(t, "the standby to follow", func() bool {
		return source.run("select count(*) from pg_stat_replication where state = 'streaming' and replay_lsn is not null") == "1"
	})
	return c
}

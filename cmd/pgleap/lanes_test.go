package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/internal/pipeline"
	"pgleap/internal/rehearsal"
	"pgleap/plan"
)

// onLanes are tables of three groups, which keys and a partitioned root tie, of one size each.
const onLanes = `create table acct (id bigserial primary key, v int not null default 0);
create table line (id bigserial primary key, acct bigint not null references acct, note text);
create table item (id bigserial primary key, v int not null default 0);
create table event (id bigserial, at date not null default '2020-05-05', v int) partition by range (at);
create table event_20 partition of event for values from ('2020-01-01') to ('2021-01-01');
create table event_21 partition of event for values from ('2021-01-01') to ('2022-01-01');
alter table event_20 add primary key (id, at);
alter table event_21 add primary key (id, at);
insert into acct (v) select 0 from generate_series(1, 500);
insert into line (acct, note) select 1 + g % 500, repeat('x', 50) from generate_series(1, 3000) g;
insert into item (v) select 0 from generate_series(1, 4000);
insert into event (at, v) select date '2020-01-01' + g % 700, g from generate_series(1, 4000) g`

// across writes to the tables of all lanes in one transaction.
const across = `begin;
insert into acct (v) values (1);
insert into line (acct, note) select max(id), 'new' from acct;
update item set v = v + 1 where id = 1 + %[1]d %% 4000;
insert into event (at, v) values (date '2020-01-01' + %[1]d %% 700, %[1]d);
delete from line where id = %[1]d;
commit`

// writing writes across all lanes until it is stopped; what a fence refuses ends it.
func (c *client) writing(sql string) (stop func()) {
	c.t.Helper()
	s, err := pg.OpenClient(c.t.Context(), c.session.Address(), pg.Options{Verb: "test"})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var done sync.WaitGroup
	done.Go(func() {
		defer s.Close()
		for i := 1; ctx.Err() == nil; i++ {
			if _, err := s.Script(context.WithoutCancel(ctx), fmt.Sprintf(sql, i)); err != nil {
				if pg.Code(err) != pg.CodeReadOnly {
					c.t.Errorf("a client's write: %v", err)
				}
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		done.Wait()
	})
}

const laneObjects = `select (select count(*) from pg_replication_slots where database = current_database()) || ' slots, ' || (select count(*) from pg_publication) || ' publications, '
  || (select count(*) from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())) || ' subscriptions, schema ' || coalesce(to_regnamespace('pgleap')::text, 'gone')`

// TestLanes: several lanes carry over what one would, forward, back, and forward again.
func TestLanes(t *testing.T) {
	for _, pair := range [][2]int{{10, 18}, {13, 18}, {17, 18}} {
		for _, way := range []string{"server", "stream"} {
			t.Run(fmt.Sprintf("%d_%d_%s", pair[0], pair[1], way), func(t *testing.T) {
				t.Parallel()
				s := startServers(t, pair[0], pair[1])
				u := s.upgrade(t, onLanes)
				stop := u.source.writing(across)
				defer stop()
				u.run(exitOK, "sync", "--lanes", "3", "--copy", way, "--copy-split", "1")
				u.source.is("3 slots, 3 publications, 1 subscriptions, schema pgleap", laneObjects)
				u.target.is("0 slots, 1 publications, 3 subscriptions, schema pgleap", laneObjects)
				var st pipeline.Status
				u.run(exitOK, "status", "--json").into(&st)
				if len(st.Lanes) != 3 || st.Lanes[1].Name != "pgleap_"+u.name+"_lane2" || st.Lanes[1].Lag == nil || st.Lanes[2].Worker == nil {
					t.Errorf("lanes of the status: %+v", st.Lanes)
				}
				u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
				stop()
				u.equal()
				stop = u.target.writing(across)
				defer stop()
				u.run(exitOK, "rollback", "--confirm", u.name, "--max-write-stall", "5s")
				stop()
				u.equal()
				u.source.is("3", "select count(*) from pg_replication_slots where active and database = current_database()")
				u.source.run(fmt.Sprintf(across, 7))
				u.equal()
				u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
				u.target.run(fmt.Sprintf(across, 8))
				u.equal()
				u.run(exitOK, "finalize", "--confirm", u.name)
				for _, side := range []*client{u.source, u.target} {
					side.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
				}
			})
		}
	}
}

// TestLanesAborted: an abort takes every lane back, with the target or without.
func TestLanesAborted(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("alone=%v", alone), func(t *testing.T) {
			u := s.upgrade(t, onLanes)
			u.run(exitOK, "sync", "--lanes", "3", "--no-way-back")
			if alone {
				u.runWith([]string{"PGLEAP_TARGET="}, exitOK, "abort")
				u.source.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
			}
			u.run(exitOK, "abort")
			for _, side := range []*client{u.source, u.target} {
				side.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
			}
		})
	}
}

// TestLanesKilled: killed at what the second lane has of its own, the same command ends as if nothing had been.
func TestLanesKilled(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, c := range []struct{ way, at string }{
		{"server", "publish.publication.2.after"},
		{"server", "publish.slot.2.before"},
		{"server", "publish.slot.2.after"},
		{"server", "subscribe.subscription.2.done"},
		{"server", "subscribe.enable.2.before"},
		{"server", "subscribe.copy.before"},
		{"stream", "subscribe.stream.2.before"},
		{"stream", "subscribe.stream.2.slot"},
		{"stream", "subscribe.stream.2.part"},
		{"stream", "subscribe.stream.2.done"},
		{"stream", "subscribe.enable.2.after"},
	} {
		t.Run(c.way+"_"+c.at, func(t *testing.T) {
			u := s.upgrade(t, onLanes)
			args := []string{"sync", "--lanes", "3", "--copy", c.way}
			u.killed(c.at, args...)
			stop := u.source.writing(across)
			defer stop()
			u.run(exitOK, args...)
			stop()
			u.equal()
			u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
			u.run(exitOK, "finalize", "--confirm", u.name)
			u.source.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
		})
	}
}

// TestLaneBegunAnew: a lane whose copy begins anew loses what was built on its tables, and gets all of it again; also keys
// that pg_dump has behind a function which needs another one.
func TestLaneBegunAnew(t *testing.T) {
	u := startServers(t, 14, 18).upgrade(t, `create table a (id int primary key, v text); create table b (id int primary key); create table c (id int primary key);
insert into a select g, repeat('x', 200) from generate_series(1, 20000) g; insert into b select generate_series(1, 100); insert into c select generate_series(1, 100);
create function grouped() returns setof text begin atomic select v from a group by id; end`)
	args := []string{"sync", "--lanes", "2", "--copy", "stream"}
	const killed = "subscribe.analyze.public.b.2.done"
	run := u.start([]string{stopAt + "=subscribe.stream.2.slot", killAt + "=" + killed}, args...)
	awaitStopped(t, run)
	holder := connect(t, u.targetURI)
	holder.run("begin; lock table c in access exclusive mode") // the lane's copy is not over when b is there
	goOn(t, run)
	run.diesAt(killed)
	holder.run("commit")
	u.run(exitOK, args...)
	u.source.run("update b set id = -id; update c set id = -id")
	u.equal()
}

// TestSourceTakenBack: where the source's part of a copy in streams was taken back without the target, nothing is copied
// in vain.
func TestSourceTakenBack(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, onLanes)
	args := []string{"sync", "--lanes", "2", "--copy", "stream"}
	u.killed("subscribe.stream.part", args...)
	u.runWith([]string{"PGLEAP_TARGET="}, exitOK, "abort")
	u.run(exitNotReady, args...).says("publication pgleap_"+u.name+", pgleap_"+u.name+"_lane2 is gone", "pgleap abort, then pgleap sync")
	u.run(exitOK, "status").says("publication pgleap_" + u.name)
	u.run(exitOK, "abort")
	u.run(exitOK, args...)
	u.equal()
}

// TestLanesKilledInSwitch: between the markers' commit and the drain of all lanes everything falls with its session, and
// behind the fence another attempt drains all lanes anew.
func TestLanesKilledInSwitch(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, at := range []string{"switch.durable.2.before", "switch.marked", "switch.drained", "switch.committed"} {
		t.Run(at, func(t *testing.T) {
			u := s.upgrade(t, onLanes)
			u.run(exitOK, "sync", "--lanes", "3")
			stop := u.source.writing(across)
			defer stop()
			u.killed(at, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
			u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
			stop()
			u.equal()
		})
	}
}

// TestLaneFails: what is wrong with one lane costs that lane, and is told by its name.
func TestLaneFails(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, onLanes)
	u.run(exitOK, "sync", "--lanes", "3")
	second := "pgleap_" + u.name + "_lane2"
	t.Run("locked", func(t *testing.T) {
		u.target.is("1", "select count(*) from pg_subscription_rel where srrelid = 'item'::regclass and srsubid = (select oid from pg_subscription where subname = '"+second+"') or srrelid = 'line'::regclass")
		holder := connect(t, u.targetURI)
		holder.run("begin; lock table item in exclusive mode")
		u.source.run("update item set v = 77 where id = 1; insert into acct (id, v) values (999999, 1)")
		await(t, "the other lanes to go on", func() bool { return u.target.run("select count(*) from acct where id = 999999") == "1" })
		u.run(exitNotSwitched, "cutover", "--confirm", u.name, "--max-write-stall", "1s").says("waits for a lock", "_lane")
		holder.run("rollback")
	})
	t.Run("disabled", func(t *testing.T) {
		u.target.run("alter subscription " + second + " disable")
		await(t, "the worker to end", func() bool {
			return u.target.run("select count(*) from pg_stat_subscription where subname = '"+second+"' and pid is not null") == "0"
		})
		u.run(exitOK, "status").says("lane 2 ("+second+"): the subscription is disabled", "alter subscription "+second+" enable")
		u.target.run("alter subscription " + second + " enable")
		u.run(exitOK, "cutover", "--confirm", u.name, "--rehearse")
	})
	t.Run("dropped", func(t *testing.T) {
		u.source.run("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '" + second + "'")
		u.target.run("alter subscription " + second + " disable; alter subscription " + second + " set (slot_name = none)")
		u.target.run("drop subscription " + second)
		await(t, "the slot to be free", func() bool {
			return u.source.run("select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where slot_name = '"+second+"' and not active") == "1"
		})
		u.run(exitNotReady, "cutover", "--confirm", u.name).says(second)
		u.run(exitNotReady, "sync").says(second)
		u.run(exitOK, "status").says("the replication slot " + second + " is gone")
		u.run(exitOK, "abort")
		u.source.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
	})
}

// TestLanesTorn: a key that ties everything leads from lane to lane. It is made under writes, tried again where one lane was
// ahead.
func TestLanesTorn(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, `create table acct (id bigserial primary key, v int);
create table line (id bigserial primary key, acct bigint not null references acct);
insert into acct (v) select g from generate_series(1, 1000) g;
insert into line (acct) select g from generate_series(1, 1000) g`)
	stop := u.source.writing("begin; with a as (insert into acct (v) values (%d) returning id) insert into line (acct) select id from a; insert into line (acct) select 1 + random() * 500 from generate_series(1, 20); commit")
	defer stop()
	u.run(exitOK, "sync", "--lanes", "2").says("lead from lane to lane", "TRUNCATE")
	u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
	stop()
	u.equal()
	u.target.is("t", "select convalidated from pg_constraint where contype = 'f'")
}

// TestLanesRace: the key is checked while one lane is ahead, and again when the other has come as far.
func TestLanesRace(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, "create table acct (id int primary key); create table line (id int primary key, acct int not null references acct); insert into acct values (1); insert into line values (1, 1)")
	run := u.start([]string{stopAt + "=finish.foreign-key.public.line_acct_fkey.before"}, "sync", "--lanes", "2")
	awaitStopped(t, run)
	parent := u.target.run("select subname from pg_subscription s join pg_subscription_rel r on r.srsubid = s.oid where srrelid = 'acct'::regclass")
	u.target.run("alter subscription " + parent + " disable")
	await(t, "the lane to stop", func() bool {
		return u.source.run("select count(*) from pg_replication_slots where active and slot_name = '"+parent+"'") == "0"
	})
	u.source.run("insert into acct values (2); insert into line values (2, 2)")
	await(t, "the other lane to be ahead", func() bool { return u.target.run("select count(*) from line") == "2" })
	goOn(t, run)
	run.awaits("one lane was ahead of another")
	u.target.run("alter subscription " + parent + " enable")
	run.wait().exits(exitOK)
	u.equal()
	u.target.is("t", "select convalidated from pg_constraint where contype = 'f'")
	t.Run("a row that is really not there", func(t *testing.T) {
		u := s.upgrade(t, "create table acct (id int primary key); create table line (id int primary key, acct int not null references acct); insert into acct values (1); insert into line values (1, 1)")
		run := u.start([]string{stopAt + "=finish.foreign-key.public.line_acct_fkey.before"}, "sync", "--lanes", "2")
		awaitStopped(t, run)
		u.target.run("delete from acct")
		goOn(t, run)
		run.wait().exits(exitUnexpected).says("violates foreign key constraint")
	})
}

// TestRehearsalOfLanes is the whole upgrade with its oracle, under load.
func TestRehearsalOfLanes(t *testing.T) {
	for _, pair := range [][2]int{{10, 18}, {13, 18}, {17, 18}} {
		for _, way := range []string{"server", "stream"} {
			t.Run(fmt.Sprintf("%s_%d_%d", way, pair[0], pair[1]), func(t *testing.T) {
				t.Parallel()
				c := shortLoad(pair[0], pair[1], "shop")
				c.With = []string{"--lanes=3", "--copy=" + way}
				c.Between = map[string]func(context.Context, *rehearsal.Stage) error{rehearsal.HookSynced: threeLanes(t)}
				mustPass(t, rehearse(t, c))
			})
		}
	}
}

// threeLanes fails the test unless there are three.
func threeLanes(t *testing.T) func(context.Context, *rehearsal.Stage) error {
	return func(ctx context.Context, stage *rehearsal.Stage) error {
		return onTarget(ctx, stage, func(s *pg.Target) error {
			var tables string
			err := s.QueryRow(ctx, `select string_agg(n::text, ' ') from (select count(*) as n from pg_subscription_rel group by srsubid order by 1) l`).Scan(&tables)
			if len(strings.Fields(tables)) != 3 {
				t.Errorf("the lanes have %s tables, want three lanes", tables)
			}
			t.Logf("tables on the lanes: %s", tables)
			return err
		})
	}
}

// TestLanesRefused: what cannot be one publication a lane.
func TestLanesRefused(t *testing.T) {
	s := startServers(t, 17, 18)
	u := s.upgrade(t, onLanes)
	u.run(exitUsage, "plan", "--lanes", "2", "--all-tables").says("a publication FOR ALL TABLES is one lane")
	u.run(exitUsage, "plan", "--lanes", "0").says("give 1 to")
	if out := u.run(exitOK, "plan", "--lanes", "9"); !strings.Contains(out.stdout, "of 9 that were asked for") {
		t.Errorf("%s", out)
	}
}

// TestLaneNotDrained: a row of the second lane that is under way when writes stop. The switch waits for it; without the
// second lane's part of the drain it would be lost.
func TestLaneNotDrained(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, drained := range []bool{true, false} {
		t.Run(fmt.Sprintf("drained=%v", drained), func(t *testing.T) {
			u := s.upgrade(t, "create table a (id int primary key); create table b (id int primary key); insert into a select generate_series(1, 100)")
			u.run(exitOK, "sync", "--lanes", "2", "--no-way-back")
			table := u.target.run("select srrelid::regclass from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid where subname like '%lane2' and srrelid::regclass::text in ('a', 'b') and subdbid = (select oid from pg_database where datname = current_database())")
			if !drained {
				if err := edit(withoutSecondDrain)(t.Context(), t, &rehearsal.Stage{Target: rehearsal.Server{URI: u.targetURI}}); err != nil {
					t.Fatal(err)
				}
			}
			run := u.start([]string{stopAt + "=switch.prepared"}, "cutover", "--confirm", u.name, "--max-write-stall", "1s")
			awaitStopped(t, run)
			holder := connect(t, u.targetURI)
			holder.run("begin; lock table " + table + " in exclusive mode")
			u.source.run("insert into " + table + " values (4711)")
			goOn(t, run)
			if drained {
				run.wait().exits(exitNotSwitched).says("lock table " + table)
				holder.run("rollback")
				u.run(exitOK, "cutover", "--confirm", u.name)
				u.equal()
				return
			}
			run.wait().exits(exitOK)
			holder.run("rollback")
			u.target.is("0", "select count(*) from "+table+" where id = 4711") // the oracle of TestLanes can see it
		})
	}
}

func withoutSecondDrain(p *plan.Plan) {
	steps(p, func(s *plan.Step) {
		if s.ID == cutover.StepDrain {
			s.Do.SQL, _, _ = strings.Cut(s.Do.SQL, "\n  and ")
		}
	})
}

// TestLanesOfSavedPlan: which tables share a lane is what was read and saved, however they have grown since.
func TestLanesOfSavedPlan(t *testing.T) {
	u := startServers(t, 17, 18).upgrade(t, "create table a (id int primary key); create table b (id int primary key); create table c (id int primary key); insert into a select generate_series(1, 10000)")
	file := t.TempDir() + "/plan.json"
	u.run(exitOK, "plan", "--lanes", "2", "--out", file)
	u.source.run("insert into c select generate_series(1, 100000)")
	u.run(exitOK, "sync", "--plan", file)
	u.target.is("a,b c", "select string_agg(of, ',' order by of) from (select string_agg(srrelid::regclass::text, ' ' order by srrelid::regclass::text) as of from pg_subscription_rel where srrelid::regclass::text !~ 'pgleap' group by srsubid) l")
	u.run(exitOK, "sync").says("done already")
	u.equal()
	v := u.servers.upgrade(t, "create table a (id int primary key); create table b (id int primary key)")
	v.run(exitOK, "sync", "--lanes", "9")
	for n, ignored := range map[string]bool{"9": false, "2": false, "3": true} { // asked for, made, and neither
		if out := v.run(exitOK, "sync", "--lanes", n); strings.Contains(out.String(), "--lanes: NOT done") != ignored {
			t.Errorf("sync --lanes %s again:\n%s", n, out)
		}
	}
}

// TestLanesOffered: where one lane does not keep up, more are offered with their numbers.
func TestLanesOffered(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, onLanes+"; create table wide (id bigserial primary key, v text); alter table wide alter v set storage external")
	u.run(exitOK, "sync")
	holder := connect(t, u.targetURI)
	holder.run("begin; lock table wide in exclusive mode")
	stop := u.source.writing("insert into wide (v) select repeat('x', 1000000 + %d) from generate_series(1, 20)")
	defer stop()
	await(t, "the lag to grow", func() bool {
		out := u.start(nil, "status").wait()
		return contains(out.stdout, "the source writes", "the lag grows", "pgleap sync --lanes 4 (now 1; foreign keys leave 4 groups of tables")
	})
	stop()
	holder.run("rollback")
}

// TestRunbookOnLanes carries the upgrade out by hand, on lanes.
func TestRunbookOnLanes(t *testing.T) {
	t.Parallel()
	c := byHand(t, 13, 18, "shop", nil)
	c.With = []string{"--lanes=3"}
	c.Between = map[string]func(context.Context, *rehearsal.Stage) error{rehearsal.HookSynced: threeLanes(t)}
	mustPass(t, rehearseByHand(t, c))
}

// TestLanesKilledLater: killed at what the second lane has of its own on the way there and back, the same command goes on.
func TestLanesKilledLater(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, onLanes)
	u.run(exitOK, "sync", "--lanes", "3")
	again := func(points []string, verb string, args ...string) {
		args = append([]string{verb, "--confirm", u.name}, args...)
		for _, at := range points {
			u.killed(at, args...)
		}
		u.run(exitOK, args...)
		u.equal()
	}
	again([]string{"release.disable.2.before", "teardown.slot.2.before"}, "cutover", "--max-write-stall", "5s")
	u.target.run(fmt.Sprintf(across, 1))
	again([]string{"back-switch.marked", "back-release.follow.2.before"}, "rollback", "--max-write-stall", "5s")
	u.source.run(fmt.Sprintf(across, 2))
	u.equal()
	again([]string{"switch.committed"}, "cutover", "--max-write-stall", "5s")
	again([]string{"rolled-back.before"}, "rollback", "--max-write-stall", "5s")
	u.killed("publish.publication.2.undone", "abort")
	u.run(exitOK, "abort")
	for _, side := range []*client{u.source, u.target} {
		side.is("0 slots, 0 publications, 0 subscriptions, schema gone", laneObjects)
	}
}

// TestLanesHeld: the limits of a copy hold over all lanes together.
func TestLanesHeld(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, fourTables)
	p := u.start(nil, "sync", "--json", "--lanes", "2", "--copy", "server", "--max-copy-rate", "0.01")
	p.awaits("(--max-copy-rate)")
	u.target.is("t", "select count(*) <= 3 from pg_subscription_rel where srsubstate <> 'i'") // the markers, and one table
	u.target.is("2", "select count(distinct srsubid) from pg_subscription_rel where srsubstate = 'i'")
	p.signal(syscall.SIGKILL)
	u.run(exitOK, "sync", "--max-copy-rate", "0")
	u.equal()
}

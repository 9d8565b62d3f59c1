package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/internal/pipeline"
)

// streamed are the flags of a copy in streams, with parts so small that a test's tables are split.
var streamed = []string{"--copy", "stream", "--copy-split", "1"}

// everyKind is what a copy may get wrong: types whose binary form is another server's, a column that is computed, parts
// of a table, children, and rows beside their pages.
const everyKind = `
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create table types (id int primary key, e mood, ea mood[], c pair, ca pair[], d positive, r regclass, ra regtype[], t text, n numeric(12,3), f float8, ts timestamptz, i interval, j jsonb, b bytea, u uuid, ip inet, tz timetz, rng int4range, x bit varying(5), ch "char", arr text[], v tsvector, p point);
insert into types select g, 'ok', array['sad', 'happy']::mood[], (g, 'x')::pair, array[(g, null)::pair], g, 'pg_class', array['int4', 'types']::regtype[], repeat('ä', g), g / 7.0, g / 3.0, now(), '1 mon -2 days', '{"a": [1, null]}', '\x00ff', md5(g::text)::uuid, '10.0.0.1/8', '12:00+02', '[1,5)', '101', 'y', array['a', null, '{"}'], 'a b', '(1,2)' from generate_series(1, 500) g;
insert into types (id, n, f) values (1000, 'NaN', 'NaN'), (1001, null, '-Infinity');
create table wide (id int primary key, doc text);
alter table wide alter doc set storage external;
insert into wide select g, repeat(md5(g::text), 2000) from generate_series(1, 100) g;
create table short (id bigserial primary key, v int);
insert into short (v) select g from generate_series(1, 200000) g;
delete from short where id % 7 = 0;
create table empty (id int primary key, note text);
create table "Odd ""Name" ("select" int primary key, "ä b" text);
insert into "Odd ""Name" values (1, E'tab\tnew\nline \\N'), (2, '\N'), (3, null), (4, '');
create table parent (id int primary key, v text);
create table child (more int, primary key (id)) inherits (parent);
insert into parent select g, 'p' from generate_series(1, 1000) g;
insert into child select g, 'c', g from generate_series(1001, 3000) g;
create table bare ();
insert into bare default values;
alter table bare replica identity full;
create table refers (id int primary key, to_short bigint references short);
insert into refers select id, id from short limit 1000;
create index on short (v);
create table parted (id int, at date) partition by range (at);
create table parted_1 partition of parted for values from ('2020-01-01') to ('2021-01-01');
create table parted_2 partition of parted for values from ('2021-01-01') to ('2022-01-01');
alter table parted_1 add primary key (id, at);
alter table parted_2 add primary key (id, at);
insert into parted select g, date '2020-01-01' + g % 700 from generate_series(1, 5000) g`

const generatedKind = `create table computed (id int primary key, a int, b int generated always as (a * 2) stored, i int generated always as identity);
insert into computed (id, a) select g, g from generate_series(1, 1000) g`

// rows is every table's number of rows, and what they hold.
func (c *client) rows() string {
	c.t.Helper()
	var all []string
	for _, table := range strings.Split(c.run("select oid::regclass from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by relname::text collate \"C\""), "\n") {
		all = append(all, table+" "+c.run(fmt.Sprintf("select count(*), sum(hashtext(t::text)::int8) from only %s t", table)))
	}
	return strings.Join(all, "\n")
}

func everyKindFor(major int) string {
	if major < 12 {
		return everyKind
	}
	return everyKind + ";\n" + generatedKind
}

// TestStreamCopy: what streams carry over equals what was there, whatever its kind, and what is written meanwhile and
// afterwards follows.
func TestStreamCopy(t *testing.T) {
	for _, pair := range [][2]int{{10, 18}, {13, 18}, {14, 15}, {17, 18}} {
		t.Run(fmt.Sprintf("%d_%d", pair[0], pair[1]), func(t *testing.T) {
			t.Parallel()
			s := startServers(t, pair[0], pair[1])
			u := s.upgrade(t, everyKindFor(pair[0]))
			u.source.run("set extra_float_digits = 3")
			u.run(exitOK, append([]string{"sync"}, streamed...)...)
			u.equal()
			u.run(exitOK, "cutover", "--confirm", u.name, "--max-write-stall", "5s")
			u.target.run("insert into short (v) values (1); update parted set at = '2020-06-01' where id = 1; delete from wide where id = 1")
			u.run(exitOK, "rollback", "--confirm", u.name, "--max-write-stall", "5s")
			u.equal()
			u.run(exitOK, "abort")
			u.source.is("f", "select exists (select from pg_replication_slots) or exists (select from pg_publication) or to_regnamespace('pgleap') is not null")
		})
	}
}

// TestStreamWhole: a table that is copied in one go ends up as one that VACUUM FREEZE has been over, and equal.
func TestStreamWhole(t *testing.T) {
	for _, pair := range [][2]int{{10, 14}, {17, 18}} {
		t.Run(fmt.Sprintf("%d_%d", pair[0], pair[1]), func(t *testing.T) {
			t.Parallel()
			s := startServers(t, pair[0], pair[1])
			u := s.upgrade(t, `create table a (id int primary key, v text); insert into a select g, md5(g::text) from generate_series(1, 40000) g;
				create table b (id int primary key, v text, x xml); insert into b select g, md5(g::text), '<x/>' from generate_series(1, 40000) g;
				create table c (id int primary key, v text); insert into c select g, string_agg(md5(g::text || n), '') from generate_series(1, 50) g, generate_series(1, 2000) n group by 1`)
			u.killed("subscribe.stream.copied", "sync", "--copy", "stream")
			u.run(exitOK, "sync", "--copy", "stream")
			u.source.run("delete from b where id = 7; update a set v = 'x' where id < 5")
			u.equal()
			u.target.is("2", "select count(*) from pg_class where relname in ('a', 'b') and relallvisible > 0")
		})
	}
}

// TestStreamSaysWhomItWaitsFor: what a killed attempt left running on the target can hold up the next one for long, and
// anybody's lock on either side a part.
func TestStreamSaysWhomItWaitsFor(t *testing.T) {
	s := startServers(t, 14, 18)
	for _, side := range []string{"source", "target"} {
		for name, table := range map[string]string{"a small table": "refers", "a table that is cut": "short"} {
			t.Run(name+" on the "+side, func(t *testing.T) {
				u := s.upgrade(t, everyKindFor(14))
				run := u.atPoint("subscribe.stream.slot", append([]string{"sync"}, streamed...)...)
				holder := connect(t, map[string]string{"source": u.sourceURI, "target": u.targetURI}[side])
				holder.run("begin; lock table " + table + " in access exclusive mode")
				goOn(t, run)
				run.awaits("on the " + side + " a lock is waited for")
				holder.run("commit")
				run.wait().exits(exitOK)
				u.equal()
			})
		}
	}
	u := s.upgrade(t, everyKindFor(14))
	u.killed("subscribe.stream.copied", append([]string{"sync"}, streamed...)...)
	first, second := connect(t, u.targetURI), connect(t, u.targetURI)
	for _, holder := range []*client{first, second} {
		holder.run("begin; lock table short, wide, parted in share mode")
	}
	run := u.start(nil, append([]string{"sync"}, streamed...)...)
	run.awaits(fmt.Sprintf("on the target a lock is waited for: pid %d,", first.session.PID()))
	// Whoever looks is lost; the next one is looked for by another.
	u.target.is("t", "select bool_and(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_blocking_pids($1::int)%' and pid <> pg_backend_pid()")
	first.run("commit")
	run.awaits(fmt.Sprintf("on the target a lock is waited for: pid %d,", second.session.PID()))
	second.run("commit")
	run.wait().exits(exitOK)
	u.equal()
}

// TestStreamOfOtherColumns: what a column holds that comes between the plan and the snapshot would be in no copy.
func TestStreamOfOtherColumns(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, "create table a (id int primary key, gone int, v text, twice int generated always as (id * 2) stored); alter table a drop column gone; insert into a select generate_series(1, 100)")
	run := u.start([]string{stopAt + "=subscribe.stream.before"}, "sync", "--copy", "stream")
	awaitStopped(t, run)
	u.source.run("alter table a add column note text; update a set note = 'filled'")
	goOn(t, run)
	run.wait().exits(exitDrift).says("the columns of table public.a are not those of the plan", "note text", "pgleap abort, then pgleap sync")
	u.run(exitOK, "abort")
	u.run(exitOK, "sync", "--copy", "stream")
	u.equal()
}

// equal fails the test unless both servers hold the same rows; what was written last may still be on its way.
func (u *upgrade) equal() {
	u.t.Helper()
	var want, got string
	defer func() {
		if got != want {
			u.t.Logf("the source holds\n%s\nthe target\n%s", want, got)
		}
	}()
	await(u.t, "the rows to be there", func() bool {
		want, got = u.source.rows(), u.target.rows()
		return got == want
	})
}

// TestStreamKilled: killed anywhere, the same command ends as if nothing had been; never with a row twice.
func TestStreamKilled(t *testing.T) {
	s := startServers(t, 13, 18)
	for _, at := range []string{"subscribe.stream.before", "subscribe.stream.slot", "subscribe.stream.part", "subscribe.stream.done", "subscribe.index.public.short_pkey.before", "subscribe.index.public.types_pkey.done", "subscribe.analyze.public.types.before", "subscribe.subscription.before", "subscribe.enable.after"} {
		t.Run(at, func(t *testing.T) {
			u := s.upgrade(t, everyKindFor(13))
			u.killed(at, append([]string{"sync"}, streamed...)...)
			u.source.run("insert into short (v) select g from generate_series(1, 100) g; update wide set doc = doc || 'x' where id < 10")
			u.run(exitOK, append([]string{"sync"}, streamed...)...)
			u.equal()
			u.source.is("1", "select count(*) from pg_replication_slots where database = current_database() and slot_name !~ 'back|proof'")
			u.run(exitOK, "abort")
			u.source.is("f", "select exists (select from pg_replication_slots where database = current_database()) or to_regnamespace('pgleap') is not null")
			u.target.is("0", "select count(*) from pg_class where relnamespace = 'public'::regnamespace")
		})
	}
}

// TestStreamCut: a stream whose connection is cut goes on within the snapshot; without the snapshot the copy begins anew.
func TestStreamCut(t *testing.T) {
	s := startServers(t, 14, 18)
	const everySession = "true"
	cut := func(t *testing.T, u *upgrade, which string) finished {
		t.Helper()
		run := u.start([]string{stopAt + "=subscribe.stream.part"}, append([]string{"sync", "--json"}, streamed...)...)
		awaitStopped(t, run)
		if n := u.source.run("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name like 'pgleap/%' and state = 'idle in transaction' and " + which); n == "0" {
			t.Fatal("there is nothing to cut")
		}
		goOn(t, run)
		if which == everySession { // the second copy stops at its first part too
			awaitStopped(t, run)
			goOn(t, run)
		}
		return run.wait()
	}
	t.Run("one stream", func(t *testing.T) {
		u := s.upgrade(t, everyKindFor(14))
		cut(t, u, "query like 'begin isolation%'").exits(exitOK).says("tried again within the same snapshot")
		u.equal()
	})
	for name, flags := range map[string][]string{"a stream whose rows are there": streamed, "the stream of a whole table that is there": {"--copy", "stream"}} {
		t.Run(name, func(t *testing.T) { // those are not copied twice
			u := s.upgrade(t, everyKindFor(14)+"; create table whole (id int, v text); alter table whole replica identity full; insert into whole select g, repeat('v', 100) from generate_series(1, 40000) g")
			run := u.start([]string{stopAt + "=subscribe.stream.copied"}, append([]string{"sync", "--json"}, flags...)...)
			awaitStopped(t, run)
			if n := u.source.run("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name like 'pgleap/%' and state = 'idle in transaction' and query ilike 'copy%'"); n == "0" {
				t.Fatal("there is nothing to cut")
			}
			goOn(t, run)
			run.wait().exits(exitOK)
			u.equal()
		})
	}
	t.Run("the snapshot", func(t *testing.T) {
		u := s.upgrade(t, everyKindFor(14))
		cut(t, u, everySession).exits(exitOK).says("the copy begins anew, with another snapshot")
		u.source.run("insert into short (v) values (1)")
		u.equal()
	})
}

// TestRehearsalOfStreams is the whole upgrade with its oracle, under load.
func TestRehearsalOfStreams(t *testing.T) {
	for _, pair := range [][2]int{{10, 18}, {13, 18}, {14, 15}, {17, 18}} {
		for _, scenario := range []string{"shop", "odd-names"} {
			t.Run(fmt.Sprintf("%s_%d_%d", scenario, pair[0], pair[1]), func(t *testing.T) {
				t.Parallel()
				c := shortLoad(pair[0], pair[1], scenario)
				c.With = []string{"--copy=stream", "--copy-split=1"}
				mustPass(t, rehearse(t, c))
			})
		}
	}
}

// TestStreamRewritten: a table that gets another file between its parts is copied anew, in one go; one that is truncated is
// truncated on the target too; one that ALTER TABLE has rewritten is refused, for its rows are in no snapshot any more.
func TestStreamRewritten(t *testing.T) {
	s := startServers(t, 17, 18)
	for _, c := range []struct {
		name, sql, says string
		exit            int
	}{
		{"vacuum full", "vacuum full short", "copied anew, in one go", exitOK},
		{"truncated", "truncate short, refers; insert into short (v) select g from generate_series(1, 70000) g; insert into refers select id, id from short limit 10", "copied anew, in one go", exitOK},
		{"altered", "alter table short alter v type bigint using v + 1; alter table short alter v type int", "rewritten by ALTER TABLE", exitDrift},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := s.upgrade(t, everyKindFor(17))
			run := u.start([]string{stopAt + "=subscribe.stream.slot"}, append([]string{"sync", "--json"}, streamed...)...)
			awaitStopped(t, run)
			u.source.run("delete from short where id % 3 = 0 and id > 100000")
			u.source.run(c.sql)
			goOn(t, run)
			run.wait().exits(c.exit).says(c.says)
			if c.exit == exitOK {
				u.equal()
			}
			u.run(exitOK, "abort")
		})
	}
}

// TestStreamRestarted: with either server started anew in the middle of the copy, or the target crashed, the same command ends
// as if nothing had been. Its commits are asynchronous: what a crash takes has to come again.
func TestStreamRestarted(t *testing.T) {
	for _, c := range []struct{ which, mode, point string }{
		{"source", "fast", "subscribe.stream.part"},
		{"target", "fast", "subscribe.stream.part"},
		{"target", "immediate", "subscribe.index.public.short_pkey.before"}, // all of that table is there
	} {
		t.Run(c.which+" "+c.mode, func(t *testing.T) {
			lazy := map[string]string{"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "wal_buffers": "128MB"} // a crash loses all that nobody waited for
			s := startServersWith(t, 16, 18, lazy)
			u := s.upgrade(t, everyKindFor(16))
			run := u.atPoint(c.point, append([]string{"sync"}, streamed...)...)
			held := u.target.run("select count(*) from short")
			server := map[string]*pgserver.Server{"source": s.source, "target": s.target}[c.which]
			if err := server.Restart(t.Context(), c.mode); err != nil {
				t.Fatal(err)
			}
			u.source, u.target = connect(t, u.sourceURI), connect(t, u.targetURI)
			if left := u.target.run("select count(*) from short"); c.mode == "immediate" && (held == "0" || left == held) {
				t.Fatalf("the crash has lost nothing: %s rows before it, %s behind it", held, left)
			}
			u.source.run("insert into short (v) values (1); update types set t = 'new' where id = 3")
			goOn(t, run)
			if o := run.wait(); o.code != exitOK {
				o.says("pgleap sync")
			} else if c.which == "target" {
				t.Error("the copy has survived its target")
			}
			u.run(exitOK, append([]string{"sync"}, streamed...)...)
			u.equal()
		})
	}
}

// TestStatusOfStreams: while the rows are copied status knows each table, and does not call it a fault that nothing is
// followed yet.
func TestStatusOfStreams(t *testing.T) {
	u := startServers(t, 15, 18).upgrade(t, everyKindFor(15))
	run := u.start([]string{stopAt + "=subscribe.stream.part"}, append([]string{"sync"}, streamed...)...)
	awaitStopped(t, run)
	u.source.run("insert into wide select g, repeat(md5(g::text), 40000) from generate_series(1001, 1100) g") // 120 MB of WAL
	var st pipeline.Status
	if err := json.Unmarshal([]byte(u.run(exitOK, "status", "--json").stdout), &st); err != nil {
		t.Fatal(err)
	}
	if st.Level == pipeline.Critical || len(st.Tables) != 12 || st.States["init"]+st.States["copying"]+st.States["copied"] != 12 {
		t.Errorf("%s, %d tables, %v, %v", st.Level, len(st.Tables), st.States, st.Problems)
	}
	for _, table := range st.Tables {
		if table.ToBuild == 0 && table.Table.Name != "parent" && table.Table.Name != "bare" {
			t.Errorf("nothing is to be built for %s", table.Table)
		}
	}
	goOn(t, run)
	run.wait().exits(exitOK)
	u.equal()
	if err := json.Unmarshal([]byte(u.run(exitOK, "status", "--json").stdout), &st); err != nil {
		t.Fatal(err)
	}
	if st.States["ready"] != 13 { // the marker's is one
		t.Errorf("%v", st.States)
	}
	for _, table := range st.Tables {
		if table.Built != table.ToBuild {
			t.Errorf("%s: %d of %d are built", table.Table, table.Built, table.ToBuild)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// inSwitch is small with what replication does not carry: unlogged tables that refer to others and have triggers,
// tables without a usable identity, one of them a partition, and large objects.
const inSwitch = small + `
create unlogged table cache (id int generated always as identity primary key, "Key ""1""" text, customer bigint references customers, at timestamptz default now());
create function stamp() returns trigger language plpgsql as 'begin new.at := clock_timestamp(); return new; end';
create trigger stamp before insert on cache for each row execute procedure stamp();
create trigger asleep before insert on cache for each row execute procedure stamp();
alter table cache disable trigger asleep;
create unlogged table cache_detail (cache int references cache, note text);
create table docs (body json not null, paid money, raw bytea);
create table "Odd;name" (p point, x xml);
create table log (day int, what text) partition by range (day);
create table log_1 partition of log for values from (0) to (100);
create table log_2 partition of log for values from (100) to (200);
alter table log_1 replica identity full;
create table empty ();
insert into empty default values;
create materialized view doc_count as select count(*) from docs;
create materialized view order_count as select customer, count(*) from orders group by 1;
create unique index order_count_customer on order_count (customer);
`

// inSwitchRows writes to each of them.
const inSwitchRows = `insert into cache ("Key ""1""", customer) select repeat(E'a\\\t\n', n % 50), 1 + n % 20 from generate_series(1, 300) n;
insert into cache_detail select id, E'\\.' from cache;
insert into docs select json_build_object('n', n), n::numeric::money, decode(md5(n::text), 'hex') from generate_series(1, 200) n;
insert into "Odd;name" values ('(1,2)', '<a>ü</a>'), (null, null);
insert into log select n % 200, 'x' from generate_series(1, 400) n;
insert into empty default values;`

// inSwitchTables hold what must be equal on both sides.
var inSwitchTables = []string{"cache", "cache_detail", "docs", `"Odd;name"`, "log", "empty", "customers", "orders"}

// largeObjects makes a few, of two owners, with privileges and comments; one is longer than two pieces, two have
// holes, one is empty.
const largeObjects = `select lo_from_bytea(1001, 'one'), lo_from_bytea(1002, decode(repeat('00ff5c0a', 600000), 'hex')), lo_from_bytea(1003, ''), lo_from_bytea(1004, 'abc');
select lo_put(1004, 3000000, decode(repeat('01', 10000), 'hex')), lo_put(1004, 2000000, decode(repeat('02', 10000), 'hex')), lo_put(1002, 4000000, 'end');
select lo_from_bytea(2000 + n, decode(md5(n::text), 'hex')) from generate_series(1, 2500) n;
alter large object 1002 owner to lo_owner; grant select on large object 1002 to lo_reader with grant option; grant update on large object 1001 to public;
revoke select on large object 1003 from current_user; comment on large object 1001 is 'it''s one';`

const largeObjectState = `select oid, pg_get_userbyid(lomowner), lomacl::text, obj_description(oid, 'pg_largeobject'), md5(lo_get(oid)) from pg_largeobject_metadata order by oid`

func (u *upgrade) sameRows() {
	u.t.Helper()
	for _, table := range inSwitchTables {
		sql := fmt.Sprintf("select count(*), md5(string_agg(t::text, ',' order by t::text collate \"C\")) from %s t", table)
		u.target.is(u.source.run(sql), sql)
	}
	u.target.is(u.source.run(largeObjectState), largeObjectState)
}

func (p *servers) largeObjectRoles(t *testing.T) {
	for _, s := range []*pgserver.Server{p.source, p.target} {
		connect(t, s.URI("postgres")).run("create role lo_owner; create role lo_reader")
	}
}

// TestCopyInSwitch: what replication does not carry is on the target after the switch, as it was on the source when
// the writes stopped, and nothing has acted on it a second time.
func TestCopyInSwitch(t *testing.T) {
	for _, pair := range [][2]int{{13, 18}, {10, 15}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) {
			s := startServers(t, pair[0], pair[1])
			s.largeObjectRoles(t)
			u := s.upgrade(t, inSwitch+inSwitchRows+largeObjects)
			u.run(exitBlocked, "sync").says("docs", "large objects", "--copy-in-switch")
			u.run(exitOK, "check", "--copy-in-switch").says("public.docs has no usable replica identity: it will be copied in the switch", "public.cache is unlogged: it will be copied in the switch", "2,504 large objects: they will be copied in the switch")
			u.run(exitOK, "plan", "--copy-in-switch").says("switch.copy.public.docs", "copy public.docs to stdout", "copy public.docs from stdin", "switch.copy.large-objects")
			before := u.snapshot()
			dumped := dump(t, u.sourceURI)
			u.run(exitOK, "sync", "--copy-in-switch")
			u.run(exitOK, "abort")
			u.unchanged(before)
			if dump(t, u.sourceURI) != dumped {
				t.Error("pg_dump of the source is another one after the abort")
			}

			u.run(exitOK, "sync", "--copy-in-switch", "--refresh-matviews")
			u.target.is("0|0|0", "select (select count(*) from docs), (select count(*) from cache), (select count(*) from pg_largeobject_metadata)")
			// They are copied late: what is written meanwhile arrives.
			u.source.run(inSwitchRows + `select lo_from_bytea(9001, 'late'), lo_put(1001, 2, 'ONE'); update docs set body = '{}' where body->>'n' = '7'; delete from cache_detail where cache < 10; insert into orders (customer) values (3)`)
			writing := writeUntilFenced(t, u.sourceURI, `insert into docs values ('[1]')`)
			o := u.run(exitOK, "cutover", "--json", "--confirm", u.name)
			if acked := <-writing; fmt.Sprint(acked) != u.target.run(`select count(*) from docs where body::text = '[1]'`) {
				t.Errorf("%d writes were acknowledged, and others are on the target", acked)
			}
			u.sameRows()
			u.target.is("t", "select doc_count.count = (select count(*) from docs) from doc_count")
			u.target.is("t", "select (select sum(count) from order_count) = (select count(*) from orders)")
			u.target.is("O|D", "select string_agg(tgenabled::text, '|' order by tgname desc) from pg_trigger where tgrelid = 'cache'::regclass and not tgisinternal")
			u.target.is("601", `insert into cache ("Key ""1""") values ('new'); select max(id) from cache`)
			u.target.is("0", "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname = 'pgleap' and relname ~ 'large'")
			u.target.is("f", "select exists (select from pg_class where relname in ('docs', 'log_2', 'cache') and reltuples <= 0)")
			switched := find(t, o.events(), plan.EventReleased)
			if switched.Data["copied"] != 6.0 || switched.Data["large_objects"] != 2505.0 {
				t.Errorf("the switch reports %v", switched.Data)
			}
			u.run(exitOK, "finalize", "--confirm", u.name)
			u.source.same("source", before.source, u.source.contents())
		})
	}
}

// writeUntilFenced writes until the fence refuses it, and then tells how many writes were acknowledged. It returns
// when one was.
func writeUntilFenced(t *testing.T, uri, sql string) <-chan int {
	t.Helper()
	c := connect(t, uri)
	c.run(sql)
	written := make(chan int, 1)
	go func() {
		n := 1
		for {
			if _, err := c.session.Script(context.WithoutCancel(t.Context()), sql); err != nil {
				if pg.Code(err) != pg.CodeReadOnly {
					t.Errorf("a writer met an error: %s", pg.Message(err))
				}
				break
			}
			n++
		}
		written <- n
	}()
	return written
}

// TestCopyInSwitchBudget: what grew too large since is refused before anybody waits; a switch that does not end in
// time for its copies is undone, and leaves nothing that the next one, or an abort, would meet.
func TestCopyInSwitchBudget(t *testing.T) {
	s := startServers(t, 15, 17)
	fill := `create table docs (body json); insert into docs values ('1'); create unlogged table cache (id int primary key, v text); select lo_from_bytea(77, 'x'); insert into cache select n, repeat(md5(n::text), 30) from generate_series(1, 20000) n; `
	u := s.upgrade(t, small+fill)
	before := u.snapshot()
	u.run(exitBlocked, "sync", "--copy-in-switch", "--max-write-stall", "1s").says("blocker", "unlogged-tables", "public.cache", "half of --max-write-stall is 500 ms", "or let writes stand still for longer: --max-write-stall 5s")
	u.source.run("truncate cache")
	u.run(exitOK, "sync", "--copy-in-switch", "--max-write-stall", "3s")
	cutover := []string{"cutover", "--confirm", u.name}

	u.source.run("insert into cache select n, repeat(md5(n::text), 30) from generate_series(1, 60000) n")
	u.run(exitNotReady, cutover...).says("writes were never stopped", "unlogged-tables: public.cache", "half of --max-write-stall is 1.5 s", "--max-write-stall")
	u.source.run("truncate cache; insert into cache select n, 'v' from generate_series(1, 100) n")

	// Somebody's lock on the target holds one copy up: the others are committed, and all is undone.
	blocked := func() {
		t.Helper()
		p := u.start([]string{stopAt + "=switch.emptied"}, append(cutover, "--json", "--max-write-stall", "2s")...)
		awaitStopped(t, p)
		blocker := connect(t, u.targetURI)
		blocker.run("begin; lock table docs in exclusive mode")
		w := startWriter(t, u.sourceURI, "insert into cache select max(id) + 1, 'w' from cache")
		w.served()
		goOn(t, p)
		o := p.wait().exits(exitNotSwitched)
		o.says("not complete within 2 s (--max-write-stall)", "copy public.docs", "the source is writable again")
		w.servedAfter(find(t, o.events(), plan.EventResult).Time)
		w.stop()
		blocker.run("rollback")
		u.source.is("0", "select count(*) from pg_trigger where tgname = 'zz_pgleap_fence'")
		u.target.is("77", "select oid from pg_largeobject_metadata")
	}
	blocked()
	u.run(exitOK, "abort")
	u.unchanged(before)
	u.target.is("0", "select count(*) from pg_largeobject_metadata")

	u.run(exitOK, "sync", "--copy-in-switch", "--max-write-stall", "3s")
	blocked()
	u.source.run("delete from cache where id % 2 = 0; insert into docs values ('2'); select lo_unlink(77), lo_from_bytea(78, 'y')")
	u.run(exitOK, cutover...).says("2 tables and 1 large object copied in")
	for _, sql := range []string{"select count(*), sum(id) from cache", "select string_agg(body::text, ',' order by body::text) from docs", largeObjectState} {
		u.target.is(u.source.run(sql), sql)
	}
}

// TestLateLargeObjects: no trigger fences large objects. Who writes to one on the old server after the switch is
// told, with its number, and nobody else is.
func TestLateLargeObjects(t *testing.T) {
	u := startServers(t, 12, 16).upgrade(t, small+`select lo_from_bytea(77, 'x'), lo_from_bytea(78, 'y'), lo_from_bytea(79, 'z')`)
	u.run(exitOK, "sync", "--copy-in-switch")
	p := u.start([]string{stopAt + "=switch.released"}, "cutover", "--json", "--confirm", u.name)
	awaitStopped(t, p)
	u.source.run("select lo_put(78, 0, 'Y'), lo_unlink(79), lo_from_bytea(80, 'new')")
	goOn(t, p)
	p.wait().exits(exitOK).says("3 large objects were made, changed or removed on the old server after the copy: 78, 79, 80")
	u.target.is("77,78,79", "select string_agg(oid::text, ',' order by oid) from pg_largeobject_metadata")
}

// TestCopyInSwitchKilled: wherever the switch dies, the same command ends as if nothing had been.
func TestCopyInSwitchKilled(t *testing.T) {
	s := startServers(t, 13, 18)
	s.largeObjectRoles(t)
	file := filepath.Join(t.TempDir(), "points")
	var points []string
	var want string
	state := func(u *upgrade) string {
		return u.target.run(`select string_agg(format('%s %s', kind, step), ',' order by kind, stage, step) from pgleap.event where kind in ('step-done', 'stage-done');
			select string_agg(format('%s.%s %s', relnamespace::regnamespace, relname, relkind), ',' order by relname) from pg_class where relnamespace in ('public'::regnamespace, 'pgleap'::regnamespace)`)
	}
	run := func(t *testing.T, at string) {
		t.Helper()
		u := s.upgrade(t, inSwitch+inSwitchRows+largeObjects)
		u.run(exitOK, "sync", "--copy-in-switch", "--refresh-matviews")
		u.source.run(inSwitchRows)
		cutover := []string{"cutover", "--confirm", u.name}
		if at == "" {
			u.runWith([]string{pointsFile + "=" + file}, exitOK, cutover...)
			points, want = readPoints(t, file), state(u)
		} else {
			if o := u.start([]string{killAt + "=" + at}, cutover...).wait(); o.code != -1 {
				t.Fatalf("was not killed at %s: %s", at, o)
			}
			if u.source.run("select count(*) from pg_trigger where tgname = 'zz_pgleap_fence'") == "0" {
				u.source.run(inSwitchRows)
			}
			u.run(exitOK, cutover...)
			if got := state(u); got != want {
				t.Errorf("killed at %s it ends with\n%s\nwant\n%s", at, got, want)
			}
		}
		u.sameRows()
	}
	run(t, "")
	points = slices.DeleteFunc(points, func(at string) bool {
		return !strings.HasPrefix(at, "refresh.") && !strings.HasPrefix(at, "switch.") && !strings.HasPrefix(at, "release.large") && !strings.HasPrefix(at, "release.refresh")
	})
	inLanes(t, points, run)
	if !slices.Contains(points, "switch.copy.large-objects.done") || !slices.Contains(points, "switch.emptied") || !slices.Contains(points, "refresh.done") {
		t.Errorf("the points are %q", points)
	}
	t.Logf("killed at each of %d points", len(points))
}

// TestCopyInSwitchPlainRoles: without a superuser on either side foreign keys and triggers of the target cannot be
// passed over: children come after the drain and after their parents, and triggers are switched off by name.
func TestCopyInSwitchPlainRoles(t *testing.T) {
	s := startServers(t, 14, 17)
	s.largeObjectRoles(t)
	const password = "kzfUq3Rt7w"
	for _, server := range []*pgserver.Server{s.source, s.target} {
		connect(t, server.URI("postgres")).run("set log_statement = 'none'; set log_min_duration_statement = -1; create role app; create role upgrade login replication in role app password '" + password + "'")
	}
	connect(t, s.target.URI("postgres")).run("grant pg_create_subscription to upgrade")
	u := s.upgrade(t, "set role app; "+inSwitch+inSwitchRows+"reset role;"+largeObjects)
	u.source.run("alter schema public owner to app; grant create on database " + u.name + " to upgrade")
	u.target.run("grant create on database " + u.name + " to upgrade; grant create on database " + u.name + " to app; alter schema public owner to upgrade; grant create on schema public to app")
	as := func(uri string) string {
		_, rest, _ := strings.Cut(uri, "@")
		return "postgres://upgrade:" + password + "@" + rest
	}
	u.sourceURI, u.targetURI = as(u.sourceURI), as(u.targetURI)

	o := u.run(exitBlocked, "check", "--copy-in-switch", "--trial-load", "none")
	o.says("role upgrade may not read 2,504 of the large objects, such as 1001 of postgres", "grant postgres to upgrade;", "lo_compat_privileges", "role upgrade is not a member of lo_owner")
	u.source.run("select lo_unlink(oid) from pg_largeobject_metadata where oid <> 1002; grant lo_owner to upgrade")
	u.target.run("grant lo_owner to upgrade")
	u.source.run(`set role app; select lo_from_bytea(5001, 'mine'); grant select on large object 5001 to lo_reader; comment on large object 5001 is 'c'; reset role`)
	u.run(exitOK, "check", "--copy-in-switch", "--trial-load", "none").says("only a superuser can keep others from changing large objects meanwhile")
	u.run(exitOK, "sync", "--copy-in-switch", "--refresh-matviews")
	u.source.run(inSwitchRows)
	writing := writeUntilFenced(t, s.source.URI(u.name), `insert into docs values ('[1]')`)
	u.run(exitOK, "cutover", "--confirm", u.name).says("6 tables and 2 large objects copied in")
	<-writing
	u.sameRows()
	u.target.is("O|D", "select string_agg(tgenabled::text, '|' order by tgname desc) from pg_trigger where tgrelid = 'cache'::regclass and not tgisinternal")
	u.target.is("t", "select doc_count.count = (select count(*) from docs) from doc_count")
}

// TestRefreshMatViews: a row that is written after sync is in the materialized view when the target takes over, also
// in one that is refreshed concurrently; what cannot be refreshed stops the cutover before anybody waits.
func TestRefreshMatViews(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, small+`create materialized view totals as select customer, sum(100 / id) from orders group by 1;
		create materialized view best as select max(sum) from totals; create materialized view unfilled as select 1 with no data`)
	o := u.run(exitOK, "plan").says("STAGE 5 of 8  switch")
	for _, word := range []string{"  refresh.public.totals", "large_object", "switch.copy", "switch.empty", " to stdout"} {
		if strings.Contains(o.stdout, word) {
			t.Errorf("without the flags the plan holds %q", word)
		}
	}
	u.run(exitOK, "plan", "--refresh-matviews").says("STAGE 5 of 9  refresh", "refresh.public.totals", "refresh.public.best")
	u.run(exitOK, "sync", "--refresh-matviews")
	u.run(exitOK, "status").says("refresh", "pgleap cutover")
	u.source.run("insert into orders (id, customer) values (0, 3)")
	u.run(exitNotReady, "cutover", "--confirm", u.name).says("writes were never stopped", "refresh materialized view public.totals", "division by zero")
	u.source.run("delete from orders where id = 0; insert into orders (customer) values (3), (4)")
	u.run(exitOK, "cutover", "--confirm", u.name).says("✓ refresh")
	u.target.is("t|f", "select (select sum(sum) from totals) = (select sum(x) from (select sum(100 / id) as x from orders group by customer) y), (select relispopulated from pg_class where relname = 'unfilled')")
	u.run(exitOK, "status").says("refresh")
}

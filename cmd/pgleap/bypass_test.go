package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// bypassed is a schema with everything that a client can write through.
const bypassed = `create table log (id bigserial primary key, kind text not null, n int not null);
create table counter (id int primary key, n int not null default 0);
insert into counter select n from generate_series(1, 20) n;
create table parted (day int, kind text, n int, primary key (day, n, kind)) partition by list (day);
create table parted_1 partition of parted for values in (1);
create table parted_2 partition of parted for values in (2);
create table scratch (id bigserial primary key, n int);
create view door as select * from log;
create function by_function() returns trigger language plpgsql as $$ begin insert into public.log (kind, n) values ('function', new.n); return null; end $$;
create trigger by_function instead of insert on door for each row execute procedure by_function();
insert into log (kind, n) select 'first', 0 from generate_series(1, 20); insert into scratch (n) select 0 from generate_series(1, 20);
insert into parted select 1 + n % 2, 'first', n from generate_series(1, 20) n;
create role bypass_owner; create role bypass_plain login password 'bypass'; grant insert, update, delete, select, truncate on all tables in schema public to bypass_plain;
grant usage on all sequences in schema public to bypass_plain;
alter table log owner to bypass_owner; grant create, usage on schema public to bypass_owner; grant bypass_owner to postgres;`

// way is one way to write past whatever stands before the database: once before everything, then again and again,
// each in a transaction of its own.
type way struct {
	name          string
	before, write string // in write $n is a number that no other write has
}

var ways = []way{
	{"owner", "set role bypass_owner", "insert into log (kind, n) values ('owner', $n)"},
	{"plain role", "set session authorization bypass_plain", "insert into log (kind, n) values ('plain role', $n)"},
	{"superuser", "set default_transaction_read_only = off", "insert into log (kind, n) values ('superuser', $n)"},
	{"read write", "set default_transaction_read_only = on", "begin read write; insert into log (kind, n) values ('read write', $n); commit"},
	{"read write later", "", "begin; set transaction_read_only = off; insert into log (kind, n) values ('read write later', $n); commit"},
	{"prepared", "prepare w (int) as insert into log (kind, n) values ('prepared', $1)", "execute w ($n)"},
	{"prepared update", "prepare w as update counter set n = n + 1 where id = 1", "execute w"},
	{"open transaction", "", "begin; insert into log (kind, n) values ('open transaction', $n); select pg_sleep(0.002); insert into log (kind, n) values ('open transaction', -$n); commit"},
	{"savepoint", "", "begin; savepoint a; insert into log (kind, n) values ('lost', $n); rollback to a; select pg_sleep(0.002); insert into log (kind, n) values ('savepoint', $n); commit"},
	{"repeatable read", "", "begin isolation level repeatable read; select count(*) from counter; select pg_sleep(0.002); insert into log (kind, n) values ('repeatable read', $n); commit"},
	{"serializable", "", "begin isolation level serializable; select count(*) from counter where id = 2; select pg_sleep(0.002); update counter set n = n + 1 where id = 2; commit"},
	{"for update", "", "begin; select n from counter where id = 3 for update; select pg_sleep(0.002); update counter set n = n + 1 where id = 3; commit"},
	{"function", "", "insert into door (kind, n) values ('function', $n)"},
	{"block", "", "do $$ begin insert into log (kind, n) values ('block', $n); exception when read_only_sql_transaction then raise; end $$"},
	{"delete", "", "begin; insert into scratch (n) values ($n); delete from scratch where n = $n - 2; commit"},
	{"truncate", "", "begin; truncate scratch; insert into scratch (n) values ($n); commit"},
	{"root", "", "insert into parted values (1, 'root', $n)"},
	{"leaf", "", "insert into parted_1 values (1, 'leaf', $n)"},
	{"other leaf", "", "insert into parted_2 values (2, 'other leaf', $n)"},
	{"move", "", "begin; insert into parted values (1, 'move', $n); update parted set day = 2 where n = $n and kind = 'move'; commit"},
	{"copy", "", ""},
}

// TestBypass: whoever goes round everything while the switch is under way has committed before the fence, and is
// on the target, or is refused; never is a row on the old server alone.
func TestBypass(t *testing.T) {
	for _, c := range []struct {
		from, to int
		fence    plan.Fence
	}{
		{10, 18, plan.FenceGuard},
		{13, 18, plan.FenceGuard},
		{13, 18, plan.FenceLock},
		{15, 17, plan.FenceGuard},
		{17, 18, plan.FenceGuard},
		{17, 18, plan.FenceLock},
		{18, 18, plan.FenceGuard},
	} {
		t.Run(fmt.Sprintf("%d-%d %s", c.from, c.to, c.fence), func(t *testing.T) { testBypass(t, c.from, c.to, c.fence) })
	}
}

func testBypass(t *testing.T, from, to int, fence plan.Fence) {
	s := startServers(t, from, to)
	connect(t, s.target.URI("postgres")).run("create role bypass_owner; create role bypass_plain login password 'bypass'")
	schema := bypassed
	if from == 10 { // which has no primary key of a partitioned table, nor moves a row; TRUNCATE does not travel
		schema = strings.Replace(schema, ", primary key (day, n, kind)) partition", ") partition", 1) +
			"alter table parted_1 add primary key (day, n, kind); alter table parted_2 add primary key (day, n, kind);"
	}
	u := s.upgrade(t, schema)
	before := u.snapshot()
	u.run(exitOK, "sync", "--fence", string(fence), "--same-major")
	if fence == plan.FenceGuard { // abort takes it all back
		u.source.is("6", plan.Standing)
		u.run(exitOK, "abort")
		u.unchanged(before)
		u.run(exitOK, "sync", "--fence", string(fence), "--same-major")
	}
	old := u.early(t)
	var number atomic.Int64
	var writers []*bypass
	for _, w := range ways {
		if from == 10 && (w.name == "truncate" || w.name == "move") {
			continue
		}
		writers = append(writers, u.bypass(t, w, &number))
	}
	for _, w := range writers {
		await(t, "writes by "+w.name, func() bool { return w.acked.Load() > 0 })
	}
	p := u.start([]string{stopAt + "=switch.locked"}, "cutover", "--confirm", u.name, "--max-write-stall", "15s", "--json")
	await(t, "every writer to wait for the fence", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("cutover ended: %s\n%s", &p.stdout, &p.stderr)
		default:
		}
		return u.source.run("select count(*) from pg_stat_activity where application_name = 'bypass' and wait_event_type = 'Lock'") == fmt.Sprint(len(writers))
	})
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	o := p.wait().exits(exitOK)
	mustBeProven(t, o)
	for _, w := range writers {
		if err := <-w.ended; pg.Code(err) != pg.CodeReadOnly || !strings.Contains(err.Error(), "this database has moved") {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	old.refused()
	u.agrees(writers)
	u.run(exitOK, "finalize", "--confirm", u.name)
	u.source.same("source", before.source, u.source.contents())
}

// mustBeProven: every role that could write was refused, the superuser however he tried.
func mustBeProven(t *testing.T, o finished) {
	t.Helper()
	var data any
	for _, e := range o.events() {
		if e.Data["refusals"] != nil {
			data = e.Data["refusals"]
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	var refusals []cutover.Refusal
	if err := json.Unmarshal(text, &refusals); err != nil {
		t.Fatal(err)
	}
	tried := map[string]int{}
	for _, r := range refusals {
		if !r.Refused || !strings.Contains(r.Answer, "this database has moved") || r.Tried == "" {
			t.Errorf("not proven: %+v", r)
		}
		tried[r.Role]++
	}
	if fmt.Sprint(tried) != "map[bypass_plain:1 postgres:2]" {
		t.Errorf("tried were %v", tried)
	}
}

// agrees fails the test unless both servers hold the same, and every write that was acknowledged.
func (u *upgrade) agrees(writers []*bypass) {
	u.t.Helper()
	for _, table := range []string{"log", "counter", "parted", "scratch"} {
		sql := fmt.Sprintf("select count(*), md5(string_agg(t::text, ',' order by t::text collate \"C\")) from %s t", table)
		u.target.is(u.source.run(sql), sql)
	}
	total := int64(0)
	for _, w := range writers {
		n := w.acked.Load()
		total += n
		if !strings.Contains(w.write, "'"+w.name+"'") && w.name != "copy" {
			continue
		}
		table := "log"
		if strings.Contains(w.write, "into parted") {
			table = "parted"
		}
		if w.name == "open transaction" {
			n *= 2
		}
		u.target.is(fmt.Sprint(n), fmt.Sprintf("select count(*) from %s where kind = '%s'", table, w.name))
	}
	u.t.Logf("%d writes of %d kinds were acknowledged", total, len(writers))
}

// bypass writes in one way until it is refused.
type bypass struct {
	way
	acked atomic.Int64
	ended chan error
}

func (u *upgrade) bypass(t *testing.T, w way, number *atomic.Int64) *bypass {
	t.Helper()
	s := connect(t, u.sourceURI)
	s.run("set application_name = 'bypass'")
	gives := connect(t, u.targetURI) // the rows of a COPY
	if w.before != "" {
		s.run(w.before)
	}
	b := &bypass{way: w, ended: make(chan error, 1)}
	go func() {
		pace := time.NewTicker(50 * time.Millisecond) // the target is to keep up
		defer pace.Stop()
		for ; ; <-pace.C {
			n := fmt.Sprint(number.Add(1))
			var err error
			if w.name == "copy" {
				_, _, err = pg.Pipe(context.Background(), &pg.Source{Session: gives.session}, &pg.Target{Session: s.session}, "copy (select 'copy', "+n+") to stdout", "copy log (kind, n) from stdin", nil)
			} else {
				_, err = s.session.Script(context.Background(), strings.ReplaceAll(w.write, "$n", n))
			}
			switch {
			case err == nil:
				b.acked.Add(1)
			case pg.Code(err) == "40001" || pg.Code(err) == pg.CodeDeadlock: // the application would try again
				_ = s.session.Rollback()
			default:
				_ = s.session.Rollback()
				b.ended <- err
				return
			}
		}
	}()
	return b
}

// begun are transactions that began, with their snapshots, before the switch.
type begun struct {
	t        *testing.T
	sessions []*client
}

func (u *upgrade) early(t *testing.T) *begun {
	b := &begun{t: t}
	for _, how := range []string{
		"begin isolation level repeatable read; select count(*) from log",
		"begin isolation level serializable; select count(*) from pg_class",
		"begin; select n from counter where id = 19 for update",
		"begin; execute w (1)",
	} {
		s := connect(t, u.sourceURI)
		s.run("prepare w (int) as select n from counter where id = $1; prepare v as update counter set n = n + 1 where id = 20")
		s.run(how)
		b.sessions = append(b.sessions, s)
	}
	return b
}

// refused writes in each of them behind the fence.
func (b *begun) refused() {
	b.t.Helper()
	for i, write := range []string{"insert into log (kind, n) values ('early', 1)", "update counter set n = n + 1 where id = 18", "update counter set n = n + 1 where id = 19", "execute v"} {
		if _, err := b.sessions[i].session.Script(context.Background(), write); pg.Code(err) != pg.CodeReadOnly {
			b.t.Errorf("%s, in a transaction from before the fence: %v", write, err)
		}
		if err := b.sessions[i].session.Rollback(); err != nil && !errors.Is(err, io.EOF) {
			b.t.Error(err)
		}
	}
}

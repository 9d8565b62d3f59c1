package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestRollbackUnderLoad goes there and back and there again, while clients write: nothing is lost, nothing is doubled,
// no value of a sequence is handed out twice, and in the end nothing of ours is left.
func TestRollbackUnderLoad(t *testing.T) {
	for _, pair := range [][2]int{{10, 17}, {13, 18}, {15, 16}, {16, 17}} {
		t.Run(fmt.Sprintf("%d to %d", pair[0], pair[1]), func(t *testing.T) {
			b := newKillBench(t, pair[0], pair[1], onlyTheApplication)
			p := b.newPair(t)
			p.rollsBack = true
			source := p.sideOf(p.state(), p.source)
			p.must("sync")
			for range 2 {
				p.must("cutover")
				p.load.await(3)
				p.must("rollback")
				p.load.await(3)
			}
			p.must("cutover")
			p.load.await(3)
			p.load.end()
			if turns := p.load.turns; turns != 5 {
				t.Errorf("the clients were moved %d times, not 5", turns)
			}
			p.load.judgeTrips(p.target, p.source)
			p.must("finalize")
			sameState(t, "the source after finalize", source, p.sideOf(p.state(), p.source))
			sameState(t, "what is ours on the target after finalize", nil, slices.Concat(p.ours(p.target), p.triggers(p.target)))
			b.mustHoldNothing(t)
		})
	}
}

// triggers are those of the fence.
func (p *killPair) triggers(s killSide) []string {
	p.t.Helper()
	var out []string
	for _, r := range p.query(s, `select 'trigger on ' || tgrelid::regclass from pg_trigger where tgname = '`+plan.FenceTrigger+`' and not tgisinternal`) {
		out = append(out, r[0])
	}
	return out
}

// TestRollback: what is told, what is refused, and what is left, one after the other.
func TestRollback(t *testing.T) {
	const insert = "insert into customers (name) values ('x')"
	s := startServers(t, 13, 18)
	for name, c := range map[string]func(u *upgrade, before snapshot){
		"there and back and there": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.run(exitNotReady, "rollback", "--confirm", u.name).says("has not been switched over")
			u.run(exitOK, "cutover", "--confirm", u.name).says("pgleap rollback goes back")
			u.refuses(u.source, insert)
			u.target.run("insert into customers (name) values ('on the target'); select setval('orders_id_seq', 4000)")
			u.run(exitOK, "rollback", "--confirm", u.name).says("point the clients at")
			u.refuses(u.target, insert)
			u.source.is("on the target", "select name from customers order by id desc limit 1")
			u.source.is("4001", "select nextval('orders_id_seq')")
			u.source.run("insert into customers (name) values ('on the source')")
			u.run(exitOK, "rollback", "--confirm", u.name).says("nothing to do", "pgleap cutover")
			u.run(exitOK, "sync")
			u.run(exitOK, "status").says("pgleap cutover")
			u.run(exitNotReady, "finalize", "--confirm", u.name).says("has not been switched over")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.refuses(u.source, insert)
			u.target.is("on the target|on the source", "select string_agg(name, '|' order by id) from customers where id > 20")
			u.target.run(insert)
			u.run(exitOK, "finalize", "--confirm", u.name)
			u.source.same("source", before.source, u.source.contents())
			u.target.is("", ours)
		},
		"aborted afterwards": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.target.run(insert)
			u.run(exitOK, "rollback", "--confirm", u.name)
			u.source.run(insert)
			u.run(exitOK, "abort")
			u.unchanged(before)
			u.source.is("22", "select count(*) from customers")
		},
		"aborted afterwards without the target": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.run(exitOK, "rollback", "--confirm", u.name)
			u.runWith([]string{"PGLEAP_TARGET="}, exitOK, "abort")
			u.source.same("source", before.source, u.source.contents())
			u.source.run(insert)
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"without a way back": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync", "--no-way-back")
			u.source.is("", "select subname from pg_subscription where subname = 'pgleap_"+u.name+"_back'")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.run(exitNotReady, "rollback", "--confirm", u.name).says("--no-way-back")
			u.target.run(insert)
			u.source.is("20", "select count(*) from customers")
			u.run(exitOK, "finalize", "--confirm", u.name)
			u.source.same("source", before.source, u.source.contents())
		},
		"impossible": func(u *upgrade, _ snapshot) {
			u.source.run("alter table orders enable always trigger touch")
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.run(exitNotReady, "rollback", "--confirm", u.name).says("ENABLE ALWAYS", "without a way back")
			u.run(exitOK, "finalize", "--confirm", u.name)
		},
		"half done": func(u *upgrade, _ snapshot) {
			u.run(exitOK, "sync")
			u.start([]string{killAt + "=switch.committed"}, "cutover", "--confirm", u.name).wait().exits(-1)
			for _, verb := range []string{"rollback", "finalize"} {
				u.run(exitPastReturn, verb, "--confirm", u.name).says("the target is the truth", "pgleap cutover first, it goes on from here; then pgleap "+verb)
			}
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.target.run(insert)
			u.start([]string{killAt + "=back-switch.committed"}, "rollback", "--confirm", u.name).wait().exits(-1)
			u.refuses(u.source, insert)
			u.refuses(u.target, insert)
			for _, args := range [][]string{{"cutover", "--confirm", u.name}, {"finalize", "--confirm", u.name}, {"abort"}} {
				u.run(exitPastReturn, args...).says("pgleap rollback again", "the source is the truth")
			}
			u.run(exitOK, "status").says("critical", "pgleap rollback")
			u.run(exitOK, "rollback", "--confirm", u.name)
			u.source.is("21", "select count(*) from customers")
			u.run(exitOK, "abort")
		},
		"too slow": func(u *upgrade, _ snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			writer := connect(u.t, u.targetURI)
			writer.run("begin; " + insert)
			u.run(exitNotSwitched, "rollback", "--confirm", u.name, "--max-write-stall", "500ms", "--quiet", "0").says("the target is writable again", "pgleap rollback again")
			u.target.run(insert)
			writer.run("commit")
			u.source.is("0", "select count(*) from pg_replication_slots where slot_name = 'pgleap_"+u.name+"'")
			u.run(exitOK, "rollback", "--confirm", u.name)
			u.source.is("22", "select count(*) from customers")
			u.run(exitOK, "abort")
		},
		"another definition": func(u *upgrade, _ snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.target.run("alter table customers add column since date")
			u.run(exitDrift, "rollback", "--confirm", u.name).says("customers", "since")
			u.target.run(insert)
			u.run(exitOK, "finalize", "--confirm", u.name)
		},
		"a table that came on both sides": func(u *upgrade, _ snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			for _, c := range []*client{u.source, u.target} {
				c.run("create table late (id int primary key)")
			}
			u.run(exitDrift, "rollback", "--confirm", u.name).says("table public.late")
			u.target.run(insert)
			u.run(exitOK, "finalize", "--confirm", u.name)
		},
		"the slot was lost": func(u *upgrade, _ snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.source.run("alter subscription pgleap_" + u.name + "_back disable")
			await(u.t, "the slot to be free", func() bool {
				return u.target.run("select active from pg_replication_slots where slot_name = 'pgleap_"+u.name+"_back'") == "f"
			})
			u.target.run("select pg_drop_replication_slot('pgleap_" + u.name + "_back')")
			u.run(exitNotReady, "rollback", "--confirm", u.name).says("there is no way back any more")
			u.target.run(insert)
			u.run(exitOK, "finalize", "--confirm", u.name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := s.upgrade(t, small)
			c(u, u.snapshot())
		})
	}
}

// TestRollbackAfterTruncate: version 10 does not take a TRUNCATE, so a rollback onto it would leave rows that are gone.
func TestRollbackAfterTruncate(t *testing.T) {
	u := startServers(t, 10, 17).upgrade(t, small)
	u.run(exitOK, "sync")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.run("insert into customers (name) values ('x')")
	u.run(exitOK, "rollback", "--confirm", u.name)
	u.source.is("21", "select count(*) from customers")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.run("truncate orders")
	u.run(exitDrift, "rollback", "--confirm", u.name).says("orders", "TRUNCATE")
	u.target.run("insert into orders (customer) values (1)")
	u.run(exitOK, "finalize", "--confirm", u.name)
}

// refuses fails the test unless the side refuses the write, and says where the database went.
func (u *upgrade) refuses(c *client, sql string) {
	u.t.Helper()
	if _, err := c.session.Script(u.t.Context(), sql); err == nil || pg.Code(err) != "25006" || !strings.Contains(err.Error(), "pgleap") {
		u.t.Errorf("%s: want SQLSTATE 25006 of pgleap, got %v", sql, err)
	}
}

// TestWayBackKeepsThePassword: the source's subscription holds the target's password, which stands in no log: neither
// where a superuser can keep it out, nor where a plain role (16+) has it put together on the server.
func TestWayBackKeepsThePassword(t *testing.T) {
	for name, c := range map[string]struct {
		from, to   int
		superusers []plan.Side
		grants     string
	}{
		"superusers": {13, 18, []plan.Side{plan.Source, plan.Target}, ""},
		"a plain role on the source": {17, 18, []plan.Side{plan.Target}, `alter role upgrade replication; grant pg_create_subscription to upgrade;
grant create on database %s to upgrade; alter table customers owner to upgrade; alter table orders owner to upgrade; alter view busy owner to upgrade; alter function touch() owner to upgrade`},
	} {
		t.Run(name, func(t *testing.T) {
			u := leastServers(t, c.from, c.to).upgrade(t, small)
			u.asMover(c.superusers...)
			if c.grants != "" {
				u.source.run(fmt.Sprintf(c.grants, u.name))
				u.target.run("create role upgrade")
			}
			u.run(exitOK, "sync", "--accept", "privileges")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.target.run("insert into customers (name) values ('x')")
			u.run(exitOK, "rollback", "--confirm", u.name)
			u.source.is("21", "select count(*) from customers")
			u.run(exitOK, "abort")
			for _, s := range []*pgserver.Server{u.servers.source, u.servers.target} {
				log, err := os.ReadFile(s.LogFile)
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range u.servers.secrets() {
					if strings.Contains(string(log), secret) {
						t.Errorf("a password stands in the log of PostgreSQL %d", s.Major)
					}
				}
			}
		})
	}
}

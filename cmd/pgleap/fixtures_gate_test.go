package main

import (
	"context"
	"strconv"
	"strings"
	"testing"
)

// gateFixtures are the checks that a cutover or a status makes: each test below makes one of them speak; the
// cutover at the end must be silent about all.
var gateFixtures = []string{"apply-alive", "all-ready", "lag", "apply-keeps-up", "target-writes", "statistics", "indexes-valid", "sequences-behind", "direct-clients", "fence-proof", "check-age", "drift"}

// synced is an upgrade that is ready for its switch.
func synced(t *testing.T, from, to int) *upgrade {
	t.Helper()
	u := startServers(t, from, to).upgrade(t, small+"insert into orders (customer, note) select 1 + n % 20, repeat('y', 100) from generate_series(1, 5000) n;")
	u.run(exitOK, "sync")
	return u
}

// application connects as something that is not pgleap.
func (u *upgrade) application(uri string) *client {
	u.t.Helper()
	c := connect(u.t, uri)
	c.run("set application_name = 'shop_web'")
	return c
}

// awaitsAndEnds begins a cutover, waits until it says what it waits for, and interrupts it.
func (u *upgrade) awaitsAndEnds(text string) {
	u.t.Helper()
	p := u.start(nil, "cutover", "--confirm", u.name, "--json")
	p.awaits(text)
	p.interrupt().exits(exitInterrupted)
	u.source.run("insert into customers (name) values ('still here')")
}

const applyWorker = "select pid from pg_stat_subscription where relid is null and pid is not null"

// slowApply makes every row of the table that arrives take seconds, without a lock that anybody waits for.
func (u *upgrade) slowApply(table string) (end func()) {
	u.t.Helper()
	u.target.run(`create function pgleap.slow() returns trigger language plpgsql as 'begin perform pg_sleep(3); return new; end';
		create trigger slow before insert or update on ` + table + ` for each row execute procedure pgleap.slow(); alter table ` + table + ` enable always trigger slow`)
	return func() { u.target.run("drop function pgleap.slow() cascade") }
}

func TestFixtureGate(t *testing.T) {
	for _, pair := range [][2]int{{10, 14}, {13, 18}} {
		t.Run(strconv.Itoa(pair[0])+"-"+strconv.Itoa(pair[1]), func(t *testing.T) {
			u := synced(t, pair[0], pair[1])
			cutover := []string{"cutover", "--confirm", u.name}
			object := "pgleap_" + u.name

			t.Run("apply-alive", func(t *testing.T) {
				u.target.run("alter subscription " + object + " disable")
				u.awaitsAndEnds("apply-alive: the subscription is disabled")
				u.run(exitOK, "status").says("the subscription is disabled")
				u.target.run("alter subscription " + object + " enable")
			})
			t.Run("all-ready", func(t *testing.T) {
				u.target.run("update pg_subscription_rel set srsubstate = 'd' where srrelid = 'orders'::regclass")
				u.awaitsAndEnds("all-ready: ")
				u.target.run("update pg_subscription_rel set srsubstate = 'r' where srrelid = 'orders'::regclass")
				await(t, "the apply worker runs again", func() bool { return u.target.run(applyWorker) != "" })
			})
			t.Run("lag", func(t *testing.T) {
				end := u.slowApply("pgleap.marker")
				u.awaitsAndEnds("lag: a marker needs more than")
				end()
			})
			t.Run("apply-keeps-up", func(t *testing.T) {
				fast := u.slowApply("customers")
				writer := connect(t, u.sourceURI)
				ctx, end := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					for ctx.Err() == nil {
						_, _ = writer.session.Script(context.WithoutCancel(ctx), "select pg_logical_emit_message(false, 'x', repeat('x', 1000000)); insert into customers (name) values ('more')")
					}
				}()
				await(t, "status says that apply is slower than the source", func() bool {
					o := u.start(nil, "status", "--json").wait()
					return strings.Contains(o.stdout, `"check": "apply-keeps-up"`)
				})
				end()
				<-done
				fast()
			})
			t.Run("target-writes", func(t *testing.T) {
				app := u.application(u.targetURI)
				pid := app.run("begin; insert into customers (id, name) values (-1, 'mine'); select pg_backend_pid()")
				u.run(exitNotReady, cutover...).says("target-writes: pid "+pid, "shop_web", "pg_terminate_backend("+pid+")", "writes were never stopped")
				app.run("rollback")
			})
			t.Run("statistics", func(t *testing.T) {
				u.target.run("delete from pg_statistic where starelid = 'orders'::regclass")
				u.run(exitNotReady, cutover...).says("statistics: ", "public.orders", "analyze public.orders;")
				u.target.run("analyze public.orders")
			})
			t.Run("indexes-valid", func(t *testing.T) {
				u.target.run("update pg_index set indisvalid = false where indexrelid = 'orders_customer'::regclass")
				u.run(exitNotReady, cutover...).says("indexes-valid: index public.orders_customer is invalid on the target", "reindex index public.orders_customer;")
				u.target.run("reindex index orders_customer; update pg_index set indisvalid = true where indexrelid = 'orders_customer'::regclass")
			})
			t.Run("fence-proof", func(t *testing.T) {
				u.source.run("create role loader login; alter role loader in database " + u.name + " set session_replication_role = replica")
				u.run(exitNotReady, cutover...).says("fence-proof: every session of loader on database "+u.name, "alter role loader in database "+u.name+" reset session_replication_role;")
				u.source.run("drop role loader")
			})
			t.Run("sequences-behind and direct-clients", func(t *testing.T) {
				// A writer on the target keeps the switch from being made.
				app := u.application(u.targetURI)
				app.run("begin; insert into customers (id, name) values (-1, 'mine')")
				client := u.application(u.sourceURI)
				u.source.run("insert into customers (id, name) values (100000, 'by hand')")
				u.run(exitNotReady, cutover...).says("sequences-behind: sequence public.customers_id_seq stands at", "column id of public.customers holds 100000", "setval('public.customers_id_seq', 100000)",
					"direct-clients: 1 session of postgres (shop_web) from 127.0.0.1 on the old server", "SQLSTATE 25006")
				u.source.run("select setval('customers_id_seq', 100000)")
				client.session.Close()
				app.run("rollback")
			})
			t.Run("check-age", func(t *testing.T) {
				u.target.run("update pgleap.event set at = at - interval '61 minutes' where kind = 'checked'")
				u.run(exitNotReady, append(cutover, "--source-from-target", "127.0.0.1:1")...).says("check-age: the last full check is more than 1 h old", "target-reaches-source", "writes were never stopped")
			})
			t.Run("drift", func(t *testing.T) {
				u.source.run("alter table orders add column colour text")
				u.run(exitDrift, cutover...).says("public.orders.colour", "is not on the target",
					"every check is made again") // the one that blocked does not count as made
				u.source.run("alter table orders drop column colour")
			})
			t.Run("silent", func(t *testing.T) {
				u.source.run("set application_name = 'pgleap/test'") // no client of the application's
				o := u.run(exitOK, cutover...)
				for _, id := range gateFixtures {
					if strings.Contains(o.stdout+o.stderr, id+":") {
						t.Errorf("%s speaks where it must be silent:\n%s", id, o)
					}
				}
			})
		})
	}
}

// TestCheckAgeIsRecorded: the full check is not made twice within the hour.
func TestCheckAgeIsRecorded(t *testing.T) {
	u := synced(t, 16, 17)
	u.target.run("update pgleap.event set at = at - interval '61 minutes' where kind = 'checked'")
	app := u.application(u.targetURI)
	app.run("begin; insert into customers (id, name) values (-1, 'mine')")
	u.run(exitNotReady, "cutover", "--confirm", u.name).says("every check is made again", "target-writes")
	app.run("rollback")
	if o := u.run(exitOK, "cutover", "--confirm", u.name); strings.Contains(o.stdout+o.stderr, "check-age") {
		t.Errorf("the check was made twice:\n%s", o)
	}
}

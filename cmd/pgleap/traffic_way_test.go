package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"pgleap/internal/hooks"
	"pgleap/internal/pg"
	"pgleap/internal/traffic"
	"pgleap/plan"
)

// TestTrafficBothWays: the same traffic goes back where it came from, is turned round on the way, and its watchdog
// asks the side that is left, whichever that is.
func TestTrafficBothWays(t *testing.T) {
	t.Setenv(asCommand, "1") // the watchdog is this program
	s := startServers(t, 12, 16)
	p := pooledUpgrade(t, s, 2)
	before, err := os.ReadFile(p.nodes[0].ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	p.switchOver(nil, p.cutoverArgs(p.byFile())...).wait().exits(exitOK)
	p.mustBeAt(s.target)

	rollback := func(h hooks.Set) *traffic.Traffic {
		t.Helper()
		c := traffic.Config{Run: plan.RunID(p.name), Direction: traffic.Rollback, From: parsed(t, p.targetURI), To: parsed(t, p.sourceURI), Budget: trafficBudget, LogFolder: t.TempDir(), Hooks: h}
		for _, n := range p.nodes {
			c.Poolers = append(c.Poolers, traffic.Pooler{Admin: parsed(t, n.AdminURI()), File: n.ConfigFile()})
		}
		r, err := traffic.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, do := range []func(context.Context) error{
			func(context.Context) error { return r.Err() },
			func(ctx context.Context) error { return r.Arm(ctx, traffic.Rest{}) },
			r.Hold, r.Move,
		} {
			if err := do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if paused, ports := p.entries(); paused != 2 || ports[0] != r.From.Port() || !p.filesPointAt(s.target) {
			t.Fatalf("%d poolers are paused, and point at %s; their files at the side that is left: %t", paused, ports, p.filesPointAt(s.target))
		}
		return r
	}
	log := t.TempDir() + "/hook"
	hook := hooks.Set{Commands: map[hooks.Hook]string{hooks.Reroute: `echo "$PGLEAP_DIRECTION $PGLEAP_OLD_PORT $PGLEAP_NEW_PORT $PGLEAP_SOURCE_PORT $PGLEAP_UNDO" >> ` + log}}

	t.Run("undone", func(t *testing.T) {
		r := rollback(hook)
		for range 2 {
			if err := r.Back(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
		p.mustBeAt(s.target)
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		from, to := parsed(t, p.targetURI).Port(), parsed(t, p.sourceURI).Port()
		back := "cutover " + to + " " + from + " " + to + " 1\n"
		if want := "rollback " + from + " " + to + " " + to + " \n" + back + back; string(text) != want {
			t.Errorf("the hook was called with %q, want %q", text, want)
		}
	})
	t.Run("cut short before the commit", func(t *testing.T) {
		rollback(hooks.Set{}).Close() // without a word that all is well
		p.mustBeAt(s.target)
	})
	t.Run("cut short behind the commit", func(t *testing.T) {
		r := rollback(hooks.Set{})
		p.target.run(`do $$ begin if to_regclass('pgleap.gate') is null then create sequence pgleap.gate; end if; end $$;
			create function pg_temp.nothing() returns trigger language plpgsql as 'begin return null; end';
			create trigger ` + plan.FenceTrigger + ` before insert on orders for each statement execute procedure pg_temp.nothing(); ` + plan.CloseGate)
		p.source.is("t", "select "+plan.FenceStands)
		r.Close()
		p.mustBeAt(s.source)
		p.source.is("f", "select "+plan.FenceStands) // its gate is open
		p.target.run("drop trigger " + plan.FenceTrigger + " on orders; " + plan.OpenGate)
		p.source.run(plan.CloseGate)
	})
	t.Run("done", func(t *testing.T) {
		p.repair(exitOK, p.byFile()) // to the target once more
		p.mustBeAt(s.target)
		r := rollback(hooks.Set{})
		if err := r.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Close()
		p.mustBeAt(s.source)
		after, err := os.ReadFile(p.nodes[0].ConfigFile())
		if err != nil || string(after) != string(before) {
			t.Errorf("the file is not what it was: %v\n%s", err, after)
		}
		if left, _ := os.ReadDir(strings.TrimSuffix(p.nodes[0].ConfigFile(), "/pgbouncer.ini")); len(left) != 3 {
			t.Errorf("left beside the file: %v", left)
		}
	})
}

func parsed(t *testing.T, uri string) pg.Address {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestWatchdogDefersNothing: what may only exist on the target behind the fence's commit is there before the first
// client, also when it is the watchdog that lets the clients go.
func TestWatchdogDefersNothing(t *testing.T) {
	s := startServers(t, 13, 18)
	p := pooledUpgradeWith(t, s, 1, `create table spoken (id bigserial primary key, name text);
		create function speak() returns trigger language plpgsql as 'begin insert into public.spoken (name) values (new.name); return new; end';
		create trigger speak after insert on customers for each row execute procedure speak(); alter table customers enable always trigger speak;`)
	load := p.startLoad()
	p.switchOver([]string{killAt + "=switch.committed"}, p.cutoverArgs(p.byFile(), "--target-from-pgbouncer", "localhost")...).killed()
	load.served()
	load.end()
	p.target.is("0", "select count(*) from customers c where name like '%/%' and not exists (select from spoken s where s.name = c.name)")
	for _, n := range p.nodes {
		for _, row := range p.console(n, "show databases") {
			if row["name"] == "shop" && row["host"] != "localhost" {
				t.Errorf("the pooler points at %s, not at localhost (--target-from-pgbouncer)", row["host"])
			}
		}
	}
	p.switchOver(nil, p.cutoverArgs(p.byFile(), "--target-from-pgbouncer", "localhost")...).wait().exits(exitOK)
	load.judge(p.target)
}

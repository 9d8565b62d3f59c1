package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/plan"
)

type killQuery struct {
	side killSide
	sql  string
}

// state is all that an upgrade leaves on both sides, but for the rows and the positions of sequences.
func (p *killPair) state() []string {
	p.t.Helper()
	out := append(p.objects(p.source), p.objects(p.target)...)
	queries := []killQuery{
		{p.source, `select format('fence on %s', tgrelid::regclass) from pg_trigger where tgname = '` + plan.FenceTrigger + `' and not tgisinternal`},
		{p.target, `select format('statistics of %s, inherited %s', starelid::regclass, stainherit) from pg_statistic where starelid >= 16384 group by starelid, stainherit having count(*) > 0`},
		{p.target, `select format('index %s, valid %s', indexrelid::regclass, indisvalid) from pg_index where indexrelid >= 16384 and indrelid::regclass::text like 'app.%'`},
		{p.target, `select format('matview rows %s', count(*)) from pg_class where oid = to_regclass('app.totals') and relispopulated`},
	}
	if len(p.query(p.target, "select where to_regclass('pgleap.event') is not null")) > 0 {
		queries = append(queries, killQuery{p.target, `select format('%s of %s %s, %s times', kind, stage, step, count(*)) from pgleap.event where kind in ('step-done', 'stage-done') group by kind, stage, step`})
	}
	for _, q := range queries {
		for _, r := range p.query(q.side, q.sql) {
			out = append(out, string(q.side.name)+": "+strings.ReplaceAll(r[0], p.database, "DATABASE"))
		}
	}
	for _, s := range []killSide{p.source, p.target} {
		out = append(out, p.ours(s)...)
	}
	slices.Sort(out)
	return out
}

// objects are the definitions of one side.
func (p *killPair) objects(s killSide) []string {
	p.t.Helper()
	p.query(s, "select") // opens the session
	list, err := catalog.Objects(context.Background(), p.sessions[string(s.name)+" "+p.database])
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		out = append(out, strings.ReplaceAll(fmt.Sprintf("%s: %s %s: %s", s.name, o.Kind, o.Name, o.Definition), p.database, "DATABASE"))
	}
	return out
}

// ours are the things that carry rows, and that must be gone in the end.
func (p *killPair) ours(s killSide) []string {
	p.t.Helper()
	var out []string
	for _, r := range p.query(s, `select 'slot ' || slot_name from pg_replication_slots where database = current_database()
union all select 'publication ' || pubname from pg_publication
union all select 'subscription ' || subname from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())
union all select 'schema ' || nspname from pg_namespace where nspname = 'pgleap'`) {
		out = append(out, fmt.Sprintf("%s: %s", s.name, strings.ReplaceAll(r[0], p.database, "DATABASE")))
	}
	return out
}

// mustHoldNothing: what belongs to no database must be gone as well.
func (b *killBench) mustHoldNothing(t *testing.T) {
	t.Helper()
	p := &killPair{t: t, bench: b, source: b.source, target: b.target}
	defer p.closeSessions()
	for _, s := range []killSide{b.source, b.target} {
		for _, r := range p.admin(s, `select 'slot ' || slot_name from pg_replication_slots where slot_name !~ '_proof$' -- which stays until finalize
union all select 'subscription ' || subname from pg_subscription
union all select 'origin ' || roname from pg_replication_origin`) {
			t.Errorf("left on the %s: %s", s.name, r[0])
		}
	}
}

// sameState says which lines are only in one of the two.
func sameState(t *testing.T, what string, want, got []string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range want {
		count[l]++
	}
	for _, l := range got {
		count[l]--
	}
	for l, k := range count {
		if k > 0 {
			t.Errorf("%s: missing: %s", what, l)
		} else if k < 0 {
			t.Errorf("%s: too much: %s", what, l)
		}
	}
}

// awaitThat waits for a condition.
func awaitThat(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited too long: %s", what)
		case <-tick.C:
		}
	}
}

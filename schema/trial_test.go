package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// tenants makes schemas that repeat each other, and some tables that do not.
func tenants(n int) string {
	var b strings.Builder
	b.WriteString(`create type public.mood as enum ('sad', 'ok');
create table public.events (id int, at date not null) partition by range (at);
create index on public.events (at);
create table public.alone (id serial primary key, mood public.mood);
create table public.like_alone (id serial primary key, mood public.mood);
create table public.other (id serial primary key, mood public.mood not null);
comment on table public.alone is 'one';
comment on table public.like_alone is 'two';
`)
	for i := range n {
		fmt.Fprintf(&b, `create schema tenant_%[1]d;
create table tenant_%[1]d.customers (id bigserial primary key, name text not null, mood public.mood default 'ok');
create table tenant_%[1]d.orders (id int generated always as identity primary key, customer bigint references tenant_%[1]d.customers, note text check (note <> ''));
create index orders_by_%[1]d on tenant_%[1]d.orders (customer) where note is not null;
create view tenant_%[1]d.busy as select customer, count(*) from tenant_%[1]d.orders group by 1;
create function tenant_%[1]d.touch() returns trigger language plpgsql as $$begin perform 1 from tenant_%[1]d.customers; return new; end$$;
create trigger touch before update on tenant_%[1]d.orders for each row execute function tenant_%[1]d.touch();
create materialized view tenant_%[1]d.sums as select count(*) as n from tenant_%[1]d.busy;
create table public.events_%[1]d partition of public.events for values from ('%[2]d-01-01') to ('%[3]d-01-01');
grant usage on schema tenant_%[1]d to pg_monitor;
grant select on tenant_%[1]d.orders to pg_monitor;
`, i, 2000+i, 2001+i)
	}
	return b.String()
}

// labels are the entries' names, one each.
func labels(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.label())
	}
	return out
}

// TestSample: of tenants and partitions that repeat each other one is loaded, with all it needs, and nothing that is
// of a shape of its own is left out. The sample loads, and is what the source has.
func TestSample(t *testing.T) {
	at := database(t, 13)
	source := openSource(t, at)
	execute(t, source.Session, tenants(12))
	d, err := Dump(t.Context(), pgDump(t), at, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	sample := SampleOf(d.Entries)
	if again := SampleOf(d.Entries); !slices.Equal(labels(again.Entries), labels(sample.Entries)) {
		t.Error("another sample of the same definitions")
	}
	got := labels(sample.Entries)
	for _, want := range []string{
		"TYPE public.mood", "SCHEMA tenant_0", "TABLE tenant_0.customers", "FK CONSTRAINT tenant_0.orders orders_customer_fkey", "INDEX tenant_0.orders_by_0",
		"TRIGGER tenant_0.orders touch", "FUNCTION tenant_0.touch()", "VIEW tenant_0.busy", "MATERIALIZED VIEW tenant_0.sums", "TABLE public.events", "TABLE ATTACH public.events_0",
		"TABLE public.alone", "TABLE public.other", "ACL on SCHEMA tenant_0", "ACL on TABLE tenant_0.orders", "SEQUENCE public.other_id_seq",
	} {
		if !slices.ContainsFunc(got, func(l string) bool {
			return strings.HasPrefix(l, strings.TrimSuffix(want, "_0")) && strings.HasPrefix(l, want)
		}) {
			t.Errorf("the sample has no %s", want)
		}
	}
	for _, l := range got {
		if strings.Contains(l, "tenant_1") || strings.Contains(l, "events_1") || strings.Contains(l, "like_alone") {
			t.Errorf("%s has the shape of another one", l)
		}
	}
	t.Logf("%d of %d entries", len(got), len(d.Entries))
	target := openTarget(t, database(t, 18))
	if refused := try(t, []*pg.Target{target}, sample.Entries, nil, nil); len(refused) > 0 {
		t.Errorf("%+v", refused)
	}
	of := func(q pg.Querier) []catalog.Object {
		list, err := catalog.ObjectsOf(t.Context(), q, sample.Relations())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(list, func(o catalog.Object) bool { return !sample.Has(o) })
	}
	before := of(source)
	for _, kind := range []string{"table", "view", "function", "type", "trigger", "index", "constraint", "privilege", "comment", "schema"} {
		if !slices.ContainsFunc(before, func(o catalog.Object) bool { return o.Kind == kind }) {
			t.Errorf("no %s is compared", kind)
		}
	}
	for _, d := range Compare(before, of(target), plan.Selection{}) {
		t.Errorf("%s\n  source %s\n  target %s", d, d.Source, d.Target)
	}
	if err := target.InTransaction(t.Context(), func() error { // the comparison can fail
		execute(t, target.Session, "drop view tenant_0.busy cascade")
		if found := Compare(before, of(target), plan.Selection{}); len(found) != 2 {
			t.Errorf("of a view and what was built on it: %v", found)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, sessions []*pg.Target, entries []Entry, matviews []plan.Relation, missing []string) []Refusal {
	t.Helper()
	refused, err := Try(t.Context(), sessions, entries, matviews, missing)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

// TestTrySideBySide: two sessions load what one does, the scenarios with everything a schema can hold.
func TestTrySideBySide(t *testing.T) {
	for _, scenario := range []string{"further", "shop", "odd-names"} {
		t.Run(scenario, func(t *testing.T) {
			at, to := database(t, 13), database(t, 18)
			source := openSource(t, at)
			sessions := []*pg.Target{openTarget(t, to), openTarget(t, to)}
			if scenario == "further" {
				loadFurther(t, source, sessions[0])
			} else {
				loadScenario(t, scenario, source.Session, sessions[0].Session)
			}
			d, err := Dump(t.Context(), pgDump(t), at, plan.Selection{})
			if err != nil {
				t.Fatal(err)
			}
			phases := shares(d.Entries, nil, nil, 2)
			t.Log(len(phases[0][0]), len(phases[1][0]), len(phases[1][1]), len(phases[2][0]))
			if scenario == "odd-names" && (len(phases[1][0]) == 0 || len(phases[1][1]) == 0) {
				t.Error("nothing is loaded side by side")
			}
			for _, r := range try(t, sessions, d.Entries, nil, nil) {
				t.Errorf("%s: %s", r.Object(), r.Message)
			}
			for _, diff := range Compare(objects(t, source), objects(t, sessions[0]), plan.Selection{}) {
				t.Errorf("%s\n  source %s\n  target %s", diff, diff.Source, diff.Target)
			}
		})
	}
}

// TestTryFindsTheFirstCause: the statement behind a refusal is found in a batch however long, and what only needs it
// is told to follow from it.
func TestTryFindsTheFirstCause(t *testing.T) {
	pre := func(kind, name, sql string) Entry {
		return Entry{Type: kind, Name: name, Schema: "public", SQL: sql, Section: Pre}
	}
	var entries []Entry
	for i := range 1000 {
		entries = append(entries, pre("TABLE", fmt.Sprintf("t%d", i), fmt.Sprintf("CREATE TABLE public.t%d (a text DEFAULT 'ü;');\n\nALTER TABLE public.t%d OWNER TO postgres;", i, i)))
	}
	entries[500].SQL = "CREATE TABLE public.t500 (a abstime);\n\nALTER TABLE public.t500 OWNER TO postgres;"
	entries[900].SQL = "CREATE TABEL public.t900 ();\n\nALTER TABLE public.t900 OWNER TO postgres;"
	entries = append(entries,
		pre("EXTENSION", "nowhere", "CREATE EXTENSION IF NOT EXISTS nowhere WITH SCHEMA public;"),
		pre("TABLE", "of_extension", "CREATE TABLE public.of_extension (a public.its_type);"),
		pre("VIEW", "v", "CREATE VIEW public.v AS SELECT a FROM public.t500;"),
		pre("VIEW", "w", "CREATE VIEW public.w AS SELECT a FROM public.v;"),
		pre("FUNCTION", "f()", "CREATE FUNCTION public.f() RETURNS public.t500 LANGUAGE sql AS 'select null';"),
		pre("VIEW", "x", "CREATE VIEW public.x AS SELECT public.f() AS a;"),
		pre("VIEW", "unqualified", "CREATE VIEW public.unqualified AS SELECT a FROM t1;"),
		Entry{Type: "CONSTRAINT", Name: "t1 t1_pkey", Schema: "public", SQL: "ALTER TABLE ONLY public.t1\n    ADD CONSTRAINT t1_pkey PRIMARY KEY (b);", Section: Post},
		Entry{Type: "FK CONSTRAINT", Name: "t2 t2_fk", Schema: "public", SQL: "ALTER TABLE ONLY public.t2\n    ADD CONSTRAINT t2_fk FOREIGN KEY (a) REFERENCES public.t1(a);", Section: Post},
		Entry{Type: "COMMENT", Name: "CONSTRAINT t2_fk ON t2", Schema: "public", SQL: "COMMENT ON CONSTRAINT t2_fk ON public.t2 IS 'x';", Section: Post},
		Entry{Type: "ACL", Name: "TABLE t3", Schema: "public", SQL: "GRANT SELECT ON TABLE public.t3 TO nobody_here;", Section: Post},
	)
	entries[7].SQL = strings.Replace(entries[7].SQL, "OWNER TO postgres", "OWNER TO missing", 1)
	for _, sessions := range []int{1, 2} {
		to := database(t, 18)
		list := []*pg.Target{openTarget(t, to), openTarget(t, to)}[:sessions]
		refused := try(t, list, entries, nil, []string{"missing"})
		var got []string
		for _, r := range refused {
			line := r.Object() + ": " + r.Message
			if r.Follows >= 0 {
				line = r.Object() + " ← " + refused[r.Follows].Object()
			}
			if role := r.Role(); role != "" {
				line += " (role " + role + ")"
			}
			got = append(got, line)
		}
		want := []string{
			`table public.t500: type "abstime" does not exist`, "table public.t500 ← table public.t500",
			`table public.t900: syntax error at or near "TABEL"`, "table public.t900 ← table public.t900",
			`extension public.nowhere: extension "nowhere" is not available`, "table public.of_extension ← extension public.nowhere",
			"view public.v ← table public.t500", "view public.w ← table public.t500", "function public.f() ← table public.t500", "view public.x ← table public.t500",
			`view public.unqualified: relation "t1" does not exist`,
			`constraint public.t1 t1_pkey: column "b" of relation "t1" does not exist`, "foreign key public.t2 t2_fk ← constraint public.t1 t1_pkey",
			"comment on constraint public.t2_fk ON t2 ← constraint public.t1 t1_pkey",
			`privileges on table public.t3: role "nobody_here" does not exist (role nobody_here)`,
		}
		for i, w := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], w) {
				t.Errorf("%d sessions, %d: want %s\n got %s", sessions, i, w, strings.Join(got, "\n     "))
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d sessions: %d refusals instead of %d:\n%s", sessions, len(got), len(want), strings.Join(got, "\n"))
		}
		var loaded int
		if err := list[0].QueryRow(t.Context(), "select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace").Scan(&loaded); err != nil || loaded != 998 {
			t.Errorf("%d tables loaded: %v", loaded, err)
		}
	}
}

// TestTryInterrupted: an interrupt is no refusal.
func TestTryInterrupted(t *testing.T) {
	target := openTarget(t, database(t, 18))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused, err := Try(ctx, []*pg.Target{target}, []Entry{{Type: "TABLE", Name: "t", Schema: "public", SQL: "CREATE TABLE public.t ();", Section: Pre}}, nil, nil)
	if err == nil || len(refused) > 0 {
		t.Errorf("got %v, %v", refused, err)
	}
}

// TestNoSecretInARefusal: the options of a user mapping hold a password.
func TestNoSecretInARefusal(t *testing.T) {
	target := openTarget(t, database(t, 18))
	refused := try(t, []*pg.Target{target}, []Entry{{Type: "USER MAPPING", Name: "USER MAPPING x SERVER y", SQL: "CREATE USER MAPPING FOR x SERVER y OPTIONS (\n    password 'pssst'\n);", Section: Pre}}, nil, nil)
	if len(refused) != 1 || strings.Contains(fmt.Sprint(refused[0].SQL, refused[0].Message, refused[0].Hint), "pssst") {
		t.Errorf("got %+v", refused)
	}
}

// TestUnexplained: a difference that only a missing role or a refusal makes is none of its own.
func TestUnexplained(t *testing.T) {
	table := plan.Name{Schema: "public", Name: "t"}
	refused := []Refusal{
		{Entry: Entry{Type: "INDEX", Name: "t_idx", Schema: "public", SQL: "CREATE INDEX t_idx ON public.t USING btree (a);"}, SQL: "CREATE INDEX t_idx ON public.t USING btree (a)"},
		{Entry: Entry{Type: "TABLE", Name: "u", Schema: "public"}, SQL: "ALTER TABLE public.u OWNER TO app", Code: pg.CodePrivilege, Message: `must be able to SET ROLE "app"`},
	}
	for name, c := range map[string]struct {
		d    Difference
		told bool
	}{
		"refused":           {Difference{"index", "t_idx on public.t", "x", "", table}, false},
		"another table":     {Difference{"index", "v_idx on public.v", "x", "", plan.Name{Schema: "public", Name: "v"}}, true},
		"a missing owner":   {Difference{"table", "public.w", "owner gone; unlogged", "owner me; unlogged", plan.Name{Schema: "public", Name: "w"}}, false},
		"more than owner":   {Difference{"table", "public.w", "owner gone; unlogged", "owner me", plan.Name{Schema: "public", Name: "w"}}, true},
		"an owner not ours": {Difference{"table", "public.u", "owner app", "owner me", plan.Name{Schema: "public", Name: "u"}}, false},
		"another owner":     {Difference{"table", "public.w", "owner a", "owner b", plan.Name{Schema: "public", Name: "w"}}, true},
		"a privilege":       {Difference{"privilege", "select on table public.w to gone", "granted", "", plan.Name{Schema: "public", Name: "w"}}, false},
		"another privilege": {Difference{"privilege", "select on table public.w to here", "granted", "", plan.Name{Schema: "public", Name: "w"}}, true},
	} {
		if got := Unexplained([]Difference{c.d}, refused, []string{"gone"}); (len(got) == 1) != c.told {
			t.Errorf("%s: told %v", name, got)
		}
	}
}

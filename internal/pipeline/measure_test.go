package pipeline

import (
	"context"
	"strings"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestMeasure: speeds are measured, the rows leave no trace, and what cannot be measured is said.
func TestMeasure(t *testing.T) {
	source, target := pgserver.StartT(t, pgserver.Options{Major: 11}), pgserver.StartT(t, pgserver.Options{Major: 16, Settings: map[string]string{"max_sync_workers_per_subscription": "2"}})
	rows(t, source.URI("postgres"), measured)
	rows(t, source.URI("postgres"), measuredRows)
	rows(t, target.URI("postgres"), "create database scratch")
	rows(t, target.URI("scratch"), measured)
	c, scratch := measureConfig(t, source, target)
	facts := readFacts(t, c)

	rates, err := c.measure(t.Context(), facts, scratch)
	if err != nil {
		t.Fatal(err)
	}
	if rates.Notes != "" || rates.SourceRoundTrip <= 0 || rates.TargetRoundTrip <= 0 || rates.Connect <= 0 || rates.KeyRow <= 0 ||
		rates.Copies != 2 || rates.CopySpeedup < 1 || rates.Jobs != 3 || rates.JobSpeedup < 1 {
		t.Errorf("rates: %+v", rates)
	}
	if len(rates.Tables) != 2 {
		t.Fatalf("%d tables were measured, of two that are large enough: %+v", len(rates.Tables), rates.Tables)
	}
	for _, r := range rates.Tables {
		if r.Rows < 100 || r.Rows > sampleRows || r.Bytes < 32<<10 || r.Bytes > 8<<20 || r.Copy <= 0 || r.Analyze <= 0 {
			t.Errorf("rate of %s: %+v", r.Table, r)
		}
	}
	methods := map[string]string{}
	for _, i := range rates.Indexes {
		methods[i.Index.Name] = i.Method
		if i.Seconds <= 0 || i.Index.Schema != i.Table.Schema {
			t.Errorf("rate of an index: %+v", i)
		}
	}
	if len(methods) != 3 || methods["notes text"] != "gin" || methods["Big using x"] != "btree" || methods["big_lower"] != "btree" {
		t.Errorf("indexes: %v", methods)
	}
	if left := rows(t, target.URI("scratch"), `select count(*) from pg_class where relname = 'sample' union all select count(*) from pg_namespace where nspname ~ 'sample'
		union all select count(*) from "Big"."Orders using x" union all select count(*) from public.notes`); strings.Join(left, " ") != "0 0 0 0" {
		t.Errorf("left in the scratch database: %v", left)
	}
	t.Run("rows that the target refuses", func(t *testing.T) { measureRefused(t, c, facts, scratch, target) })
	t.Run("a lock on the source", func(t *testing.T) { measureLocked(t, c, facts, scratch, source) })
}

// measureRefused: neither the log nor the notes show the row.
func measureRefused(t *testing.T, c Config, facts plan.Facts, scratch *pg.Target, target *pgserver.Server) {
	rows(t, target.URI("scratch"), `drop index "Big".big_lower; alter table "Big"."Orders using x" drop constraint "Orders using x_note_check"; alter table "Big"."Orders using x" alter note type bigint using 1`)
	rates, err := c.measure(t.Context(), facts, scratch)
	if err != nil {
		t.Fatal(err)
	}
	log, err := target.Log()
	if err != nil {
		t.Fatal(err)
	}
	// the md5 of 1, the first row's
	if !strings.Contains(rates.Notes, `"Big"."Orders using x": the target refuses its rows (SQLSTATE 22P02)`) ||
		strings.Contains(rates.Notes, "c4ca4238a0b9") || strings.Contains(log, "c4ca4238a0b9") {
		t.Errorf("notes: %s", rates.Notes)
	}
	rows(t, target.URI("scratch"), `alter table "Big"."Orders using x" alter note type text`)
}

// measureLocked: somebody holds a table. It is not waited for long, and the other one is measured.
func measureLocked(t *testing.T, c Config, facts plan.Facts, scratch *pg.Target, source *pgserver.Server) {
	s := client(t, source.URI("postgres"))
	if _, err := s.Script(t.Context(), `begin; lock table public.notes in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	rates, err := c.measure(t.Context(), facts, scratch)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(rates.Notes, "public.notes") || !strings.Contains(rates.Notes, "lock timeout") {
		t.Errorf("notes %q do not tell of the lock", rates.Notes)
	}
	if len(rates.Tables) != 1 || rates.Tables[0].Table.Schema != "Big" {
		t.Errorf("rates: %+v", rates)
	}
}

func measureConfig(t *testing.T, source, target *pgserver.Server) (Config, *pg.Target) {
	t.Helper()
	c := Config{Verb: "check", Run: "measure", Options: plan.Options{Jobs: 3}}
	var err error
	if c.Source, err = pg.ParseAddress(source.URI("postgres")); err != nil {
		t.Fatal(err)
	}
	if c.Target, err = pg.ParseAddress(target.URI("postgres")); err != nil {
		t.Fatal(err)
	}
	scratch, err := pg.OpenTarget(t.Context(), c.Target.WithDatabase("scratch"), pg.Options{Verb: "check"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scratch.Close)
	return c, scratch
}

func readFacts(t *testing.T, c Config) plan.Facts {
	t.Helper()
	s, err := c.OpenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	facts, err := catalog.Read(t.Context(), s, plan.Source, c.Run)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func client(t testing.TB, uri string) *pg.Session {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pg.OpenClient(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// rows returns the first column.
func rows(t testing.TB, uri, sql string) []string {
	t.Helper()
	list, err := client(t, uri).Script(context.WithoutCancel(t.Context()), sql)
	if err != nil {
		t.Fatalf("%s: %s", sql, pg.Message(err))
	}
	var out []string
	for _, r := range list {
		out = append(out, r[0])
	}
	return out
}

const measured = `create schema "Big";
create table "Big"."Orders using x" ("Id" bigint primary key, note text not null check (note <> 'never'));
create index "Big using x" on "Big"."Orders using x" (note);
create index big_lower on "Big"."Orders using x" (lower(note));
create table public.notes (a int, b uuid, body tsvector, primary key (b, a));
create index "notes text" on public.notes using gin (body);
create table public.small (id int primary key);
create function public.no() returns trigger language plpgsql as 'begin raise exception ''no''; end';
create trigger no before insert on public.notes for each row execute procedure public.no();
alter table public.notes enable always trigger no`

// The last rows are far longer than the first; what is not valid on the source is in it, too.
const measuredRows = `alter table public.notes disable trigger no;
alter table "Big"."Orders using x" drop constraint "Orders using x_note_check";
insert into "Big"."Orders using x" select n, case when n = 5 then 'never' else repeat(md5(n::text), 1 + (n / 1000)::int) end from generate_series(1, 40000) n;
insert into public.notes select n, md5(n::text)::uuid, to_tsvector('simple', 'word' || n || ' and word' || n % 100) from generate_series(1, 5000) n`

package rehearsal

import (
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/testdata"
)

func TestScenarioFiles(t *testing.T) {
	scenarios := fstest.MapFS{
		"s/00-roles.sql": {}, "s/10-a.v12.sql": {}, "s/11-b.below12.sql": {}, "s/20-c.sql": {}, "bad/readme.txt": {},
	}
	for major, want := range map[int][]string{
		11: {"00-roles.sql", "11-b.below12.sql", "20-c.sql"},
		12: {"00-roles.sql", "10-a.v12.sql", "20-c.sql"},
	} {
		got, err := scenarioFiles(scenarios, "s", major)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d (-want +got):\n%s", major, d)
		}
	}
	for _, name := range []string{"bad", "none"} {
		if _, err := scenarioFiles(scenarios, name, 12); err == nil {
			t.Errorf("scenario %s: no error", name)
		}
	}
	for _, name := range []string{"shop", "pgbench", "odd-names"} {
		if _, err := scenarioFiles(testdata.Scenarios(), name, 12); err != nil {
			t.Error(err)
		}
	}
}

func TestBehind(t *testing.T) {
	seq := func(last int64, called bool, increment int64, cycle bool) sequence {
		return sequence{position{"s", last, called}, increment, cycle}
	}
	for _, test := range []struct {
		name           string
		source, target sequence
		margin         int64
		behind         bool
	}{
		{"equal", seq(5, true, 1, false), seq(5, true, 1, false), 0, false},
		{"ahead", seq(5, true, 1, false), seq(9, true, 1, false), 0, false},
		{"behind", seq(5, true, 1, false), seq(4, true, 1, false), 0, true},
		{"not called there", seq(5, true, 1, false), seq(5, false, 1, false), 0, true},
		{"next without a call", seq(5, true, 1, false), seq(6, false, 1, false), 0, false},
		{"never called", seq(1, false, 1, false), seq(1, false, 1, false), 0, false},
		{"descending, behind", seq(-5, true, -1, false), seq(-4, true, -1, false), 0, true},
		{"descending, ahead", seq(-5, true, -1, false), seq(-9, true, -1, false), 0, false},
		{"cycle, equal", seq(2, true, 1, true), seq(2, true, 1, true), 0, false},
		{"cycle, other", seq(2, true, 1, true), seq(3, true, 1, true), 0, true},
		{"cycle, margin", seq(2, true, 1, true), seq(3, true, 1, true), 10, false},
		{"other increment", seq(2, true, 1, false), seq(20, true, 10, false), 0, true},
	} {
		if got := behind(test.source, test.target, test.margin); (got != "") != test.behind {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestGap(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	moments := []time.Duration{s(10), s(0), s(4), s(5), s(11)}
	if longest, at := gap(moments, s(0), s(11)); longest != s(5) || at != s(5) {
		t.Errorf("longest %s at %s", longest, at)
	}
	if longest, _ := gap(moments, s(1), s(3)); longest != s(4) {
		t.Errorf("around the window: %s", longest)
	}
}

func TestParseLSN(t *testing.T) {
	if n, err := parseLSN("16/B374D848"); err != nil || n != 0x16B374D848 {
		t.Errorf("%x, %v", n, err)
	}
	for _, bad := range []string{"", "16", "x/1", "16/", "1/123456789"} {
		if _, err := parseLSN(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestModel holds the model against a server: the oracle must not err itself.
func TestModel(t *testing.T) {
	t.Parallel()
	s := pgserver.StartT(t, pgserver.Options{Major: 10})
	a := openT(t, s)
	for _, sql := range []string{"create role ledger_owner; create role ledger_app; create role ledger_stubborn", ledgerSQL} {
		if _, err := a.Script(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	m := newModel()
	r := rand.New(rand.NewPCG(1, 2))
	for n := int64(1); n <= 400; n++ {
		for client := range 3 {
			sql := "begin"
			for _, o := range pick(r, n) {
				m.apply(client, o)
				sql += "; " + o.sql(client)
			}
			if _, err := a.Script(t.Context(), sql+"; commit"); err != nil {
				t.Fatalf("%v\n%s", err, sql)
			}
		}
	}
	for _, q := range ledgerQueries {
		rows, err := a.Script(t.Context(), q.sql)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range rows {
			got = append(got, row[0])
		}
		if missing, extra := compare(m.rows(q.table), got); len(missing)+len(extra) > 0 {
			t.Errorf("%s lacks %q, has too much %q", q.table, missing, extra)
		}
		if len(got) == 0 {
			t.Errorf("%s is empty: the load does not touch it", q.table)
		}
	}
}

func openT(t *testing.T, s *pgserver.Server) *pg.Session {
	t.Helper()
	address, err := pg.ParseAddress(s.URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := openPinned(t.Context(), Server{address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// TestOracle: both plugins tell the changes that committed after a position, and no others.
func TestOracle(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 18} {
		s := pgserver.StartT(t, pgserver.Options{Major: major})
		a, ctx := openT(t, s), t.Context()
		server := Server{address: a.Address()}
		if _, err := a.Script(ctx, `create schema pgleap; create table pgleap.marker (id int primary key); create table public."A b" (id int primary key, v text)`); err != nil {
			t.Fatal(err)
		}
		for _, plugin := range []string{"test_decoding", "pgoutput"} {
			o := &oracle{plugin: plugin}
			if err := o.create(ctx, server); err != nil {
				t.Fatal(err)
			}
			other := openT(t, s) // its change lies before the position, its commit after it
			for _, sql := range []string{"begin", `insert into public."A b" values (1, 'open')`} {
				if _, err := other.Script(ctx, sql); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := a.Script(ctx, `insert into public."A b" values (2, 'before')`); err != nil {
				t.Fatal(err)
			}
			rows, err := a.Script(ctx, "select pg_current_wal_insert_lsn()")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Script(ctx, "insert into pgleap.marker values (1); delete from pgleap.marker"); err != nil {
				t.Fatal(err)
			}
			if sample, n, err := o.between(ctx, server, rows[0][0], ""); err != nil || n != 0 {
				t.Errorf("%d, %s: %d changes, %q, %v", major, plugin, n, sample, err)
			}
			if _, err := other.Script(ctx, "commit"); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Script(ctx, `update public."A b" set v = 'after' where id = 2; delete from public."A b"`); err != nil {
				t.Fatal(err)
			}
			end, err := a.Script(ctx, "select pg_current_wal_insert_lsn()")
			if err != nil {
				t.Fatal(err)
			}
			// What comes later is not asked for, and what an apply worker would write is nobody's.
			for _, sql := range []string{
				`insert into public."A b" values (3, 'later')`, "select pg_replication_origin_create('elsewhere')",
				"select pg_replication_origin_session_setup('elsewhere')", `insert into public."A b" values (4, 'applied')`,
				"select pg_replication_origin_session_reset()", "select pg_replication_origin_drop('elsewhere')",
			} {
				if _, err := a.Script(ctx, sql); err != nil {
					t.Fatal(err)
				}
			}
			if sample, n, err := o.between(ctx, server, rows[0][0], end[0][0]); err != nil || n != 4 || len(sample) != 4 {
				t.Errorf("%d, %s: %d changes, %q, %v", major, plugin, n, sample, err)
			}
			if sample, n, err := o.between(ctx, server, end[0][0], ""); err != nil || n != 1 {
				t.Errorf("%d, %s: %d changes after them, %q, %v", major, plugin, n, sample, err)
			}
			if _, err := a.Script(ctx, `delete from public."A b"`); err != nil {
				t.Fatal(err)
			}
			if err := o.drop(ctx, server); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// difficult has a column for each kind of value whose text form differs between majors, and for what holds one.
const difficult = `
create type public.inner_type as (x float8, "Y" text);
create type public.outer_type as (i public.inner_type, n numeric);
create type public.float_range as range (subtype = float8);
create domain public.angle as float8;
create type public.color as enum ('red', 'green');
create table public."Hard ""Name" (id int primary key, f4 float4, f8 float8, d public.angle, p point, b box, pa path, c circle, "char" "char",
	fs float8[], ps point[], chars "char"[], i public.inner_type, o public.outer_type, "is" public.inner_type[], r public.float_range,
	e public.color, es public.color[], j jsonb, t timestamptz, iv interval, m money, n numeric, by bytea);
insert into public."Hard ""Name" values
	(1, 0.1, 0.1::float8 + 0.2, 1.0 / 3, '(0.1,0.30000000000000004)', '((1.1,2.2),(0.3,1e-20))', '[(0.1,0.2),(3,4)]', '<(0.1,0.2),0.3>', 'x',
	 '{0.1,1e300,NaN,null}', array[point '(0.1,0.7)'], '{a,b}', '(0.1,a)', row(row(1e-7::float8 / 3, 'b')::public.inner_type, 1.10), array[row(0.7, 'c')::public.inner_type, null],
	 '[0.1,0.30000000000000004)', 'red', '{green,red}', '{"a": 1.50}', '2024-02-29 12:00:00.123456+00', '1 year 2 mons -3 days', 12.5, 1.500, '\x00ff'),
	(2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
	(3, 'infinity', '-infinity', 'nan', null, null, null, null, '', '{}', '{}', '{}', row(null, null), row(null, null), '{}', 'empty', 'green', '{}', '[]', 'infinity', '0', 0, 'nan', '');
create table public.nothing ();
insert into public.nothing default values;
insert into public.nothing default values;`

// TestHashAcrossMajors: the same rows give the same hash on the oldest and the newest server, and other rows
// do not.
func TestHashAcrossMajors(t *testing.T) {
	t.Parallel()
	var got []map[string]digest
	for _, major := range []int{10, 12, 18} {
		a := openT(t, pgserver.StartT(t, pgserver.Options{Major: major}))
		for _, sql := range []string{difficult, "begin"} {
			if _, err := a.Script(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		d, err := digests(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
		name := `public."Hard ""Name"`
		if d[name].err != "" || d[name].count != "3" || d["public.nothing"].count != "2" {
			t.Fatalf("%d: %+v", major, d)
		}
		if diff := cmp.Diff(got[0], d, cmp.AllowUnexported(digest{})); diff != "" {
			t.Errorf("%d is not as 10:\n%s", major, diff)
		}
		for _, change := range []string{`"is"[1].x = 0.8`, "d = 2", "o = row(row(2, 'b')::public.inner_type, 1.10)", "r = '[0.1,0.3)'", `"char" = 'y'`, "n = 1.50"} {
			if _, err := a.Script(t.Context(), `update public."Hard ""Name" set `+change+" where id = 1"); err != nil {
				t.Fatal(err)
			}
			after, err := digests(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if after[name] == d[name] {
				t.Errorf("%d: %s does not change the hash", major, change)
			}
			d = after
		}
	}
}

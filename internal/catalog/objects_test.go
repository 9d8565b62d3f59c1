package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestObjectsMany: a database with many tables is read in queries over the whole catalog, not table by table.
func TestObjectsMany(t *testing.T) {
	server := pgserver.StartT(t, pgserver.Options{Major: 18, Settings: map[string]string{"max_locks_per_transaction": "1000"}})
	db := open(t, server.URI("postgres"))
	exec(t, db, `create schema many; set search_path = many;
		do $$ begin for i in 1..2000 loop execute format('create table t%s (id bigserial primary key, a text not null default %L, b integer check (b > 0), c timestamptz)', i, i);
			execute format('create index on t%s (a, lower(a))', i); end loop; end $$;
		set search_path = pg_catalog`)
	start := time.Now()
	list, err := catalog.Objects(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Log(len(list), "objects in", took)
	// 0.6 s on two free cores; table by table it would take minutes.
	if limit := 20 * time.Second; took > limit {
		t.Errorf("took %s", took)
	}
	// Each table: itself, identity, 4 columns, their order, a sequence, a key, a check, an index.
	if len(list) < 2000*11 {
		t.Errorf("%d objects", len(list))
	}
	var zone string
	if err := db.QueryRow(t.Context(), "show timezone").Scan(&zone); err != nil || zone != "UTC" {
		t.Errorf("time zone %q, %v", zone, err)
	}
}

// TestObjectsLeavesOut: what is not the users' is no object, and names are written the same on every major.
func TestObjectsLeavesOut(t *testing.T) {
	for _, major := range []int{10, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			server := pgserver.StartT(t, pgserver.Options{Major: major})
			db := open(t, server.URI("postgres"))
			before, err := catalog.Objects(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range before {
				if o.Name != "public" && o.Name != "plpgsql" && !strings.Contains(o.Name, "schema public") {
					t.Errorf("a new database has %s %s", o.Kind, o.Name)
				}
			}
			exec(t, db, `set timezone = 'Asia/Kolkata';
				create schema pgleap; create table pgleap.journal (id int); create function pgleap.f() returns trigger language plpgsql as 'begin end';
				create temp table mine (id serial primary key);
				create extension hstore schema public; create extension citext schema public;
				create subscription s connection 'host=nowhere' publication p with (connect = false);
				create publication p`)
			after, err := catalog.Objects(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(after) - len(before); n != 2 {
				t.Errorf("%d objects more, not the two extensions: %v", n, after)
			}
			exec(t, db, `create table public.zz_fenced ("merge_action" int, "user" int default 1, "A""b" int, "select" text);
				create trigger zz_pgleap_fence before insert on public.zz_fenced execute procedure pgleap.f()`)
			fenced, err := catalog.Objects(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range fenced {
				if o.Of.Name == "zz_fenced" && o.Kind == "column" || o.Kind == "trigger" {
					if o.Of != (plan.Name{Schema: "public", Name: "zz_fenced"}) {
						t.Errorf("%s is of %v", o.Name, o.Of)
					}
					names = append(names, o.Name)
				}
			}
			want := `public.zz_fenced."A""b" public.zz_fenced."merge_action" public.zz_fenced."select" public.zz_fenced."user"`
			if got := strings.Join(names, " "); got != want {
				t.Errorf("got %s", got)
			}
		})
	}
}

package catalog_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// TestRead reads a database with every kind of object, on every major, as a superuser and as a plain role.
func TestRead(t *testing.T) {
	majors := []int{10, 11, 12, 13, 14, 15, 16, 17, 18}
	if testing.Short() {
		majors = []int{10, 18}
	}
	for _, major := range majors {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel() // most of it is waiting for a transaction to become old
			server := pgserver.StartT(t, pgserver.Options{Major: major, Settings: map[string]string{"max_prepared_transactions": "5"}})
			admin := open(t, server.URI("postgres"))
			exec(t, admin, "create database cat")
			db := open(t, server.URI("cat"))
			t.Run("empty", func(t *testing.T) { testEmpty(t, db) })
			exec(t, db, objects(t, db.Version()))

			f := read(t, db, plan.Source, "shop")
			t.Run("server", func(t *testing.T) { testServer(t, f) })
			t.Run("relations", func(t *testing.T) { testRelations(t, f) })
			t.Run("identity", func(t *testing.T) { testIdentity(t, f) })
			t.Run("publishes", func(t *testing.T) { testPublishes(t, db, f) })
			t.Run("columns", func(t *testing.T) { testColumns(t, f) })
			t.Run("sequences", func(t *testing.T) { testSequences(t, f) })
			t.Run("roles", func(t *testing.T) { testRoles(t, f) })
			t.Run("plain role", func(t *testing.T) { testPlainRole(t, server, f) })
			t.Run("target", func(t *testing.T) { testTarget(t, db) })
			t.Run("sessions", func(t *testing.T) { testSessions(t, server, db) })
			t.Run("locked", func(t *testing.T) { testLocked(t, server, db) })
			t.Run("cluster", func(t *testing.T) { testCluster(t, server, db) })
			t.Run("leftovers", func(t *testing.T) { testLeftovers(t, db) })
		})
	}
}

func open(t *testing.T, uri string) *pg.Source {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func exec(t *testing.T, s *pg.Source, sql string) {
	t.Helper()
	if _, err := s.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%.200s: %v", sql, err)
	}
}

func read(t *testing.T, s *pg.Source, side plan.Side, run plan.RunID) plan.Facts {
	t.Helper()
	f, err := catalog.Read(t.Context(), s, side, run)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// objects returns testdata/objects.sql with the lines that a server of version v understands.
func objects(t *testing.T, v pgver.Version) string {
	t.Helper()
	text, err := os.ReadFile("testdata/objects.sql")
	if err != nil {
		t.Fatal(err)
	}
	sql := string(text)
	for mark, has := range map[string]bool{
		"generated": v.Has(pgver.GeneratedColumns), "include": v.Has(pgver.IndexInclude), "oids": !v.Has(pgver.RelationOIDs),
	} {
		with := "-- "
		if has {
			with = ""
		}
		sql = strings.ReplaceAll(sql, "{{"+mark+"}}", with)
	}
	return sql
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// relation returns the relation of schema app, or of the schema that is named.
func relation(t *testing.T, f plan.Facts, name string) plan.Relation {
	t.Helper()
	n := plan.Name{Schema: "app", Name: name}
	if schema, rest, ok := strings.Cut(name, "|"); ok {
		n = plan.Name{Schema: schema, Name: rest}
	}
	i := slices.IndexFunc(f.Relations, func(r plan.Relation) bool { return r.Name == n })
	if i < 0 {
		t.Fatalf("relation %s is missing", n)
	}
	return f.Relations[i]
}

func app(names ...string) []plan.Name {
	var out []plan.Name
	for _, n := range names {
		out = append(out, plan.Name{Schema: "app", Name: n})
	}
	return out
}

package pg_test

import (
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// TestOpenLonger: writers count always, readers when they are asked for, ours never; another role's are seen with the
// right to.
func TestOpenLonger(t *testing.T) {
	for _, major := range []int{10, 18} {
		server := pgserver.StartT(t, pgserver.Options{Major: major})
		open := func(uri, name string) *pg.Session {
			a, err := pg.ParseAddress(uri)
			if err != nil {
				t.Fatal(err)
			}
			s, err := pg.OpenClient(t.Context(), a, pg.Options{Verb: name})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return s
		}
		script := func(s *pg.Session, sql string) {
			t.Helper()
			if _, err := s.Script(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		uri := server.URI("postgres")
		looks := open(uri, "looks")
		script(looks, "create table t (i int); create role plain login")
		writer, reader, ours, temporary := open(uri, "writer"), open(uri, "reader"), open(uri, "pgleap/sync"), open(uri, "temporary")
		script(writer, "begin; insert into t values (1)")
		script(reader, "begin; select from t")
		script(ours, "begin; insert into t values (2)")
		script(temporary, "begin; create temp table own (i int); insert into own values (1)")
		for _, c := range []struct {
			age     time.Duration
			readers bool
			want    []string
		}{{0, false, []string{"writer"}}, {0, true, []string{"writer", "reader", "temporary"}}, {time.Hour, true, nil}} {
			found, err := pg.OpenLonger(t.Context(), looks, c.age, c.readers)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, b := range found {
				names = append(names, b.Application)
			}
			if len(names) != len(c.want) || len(names) > 0 && names[0] != c.want[0] {
				t.Errorf("%d: older than %s, readers %v: %q, want %q", major, c.age, c.readers, names, c.want)
			}
		}
		for _, want := range []bool{true, false} {
			all, err := pg.SeesTransactions(t.Context(), looks)
			if err != nil || all != want {
				t.Errorf("%d: sees all: %v, %v; want %v", major, all, err, want)
			}
			script(looks, "set role plain")
		}
	}
}

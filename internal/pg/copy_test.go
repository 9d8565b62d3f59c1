package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// TestPipe: rows of any length go from one server into the other; an error of either side ends both, with its words.
func TestPipe(t *testing.T) {
	a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: 13}).URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	from, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := to.Exec(t.Context(), "create table public.t (n int primary key, b bytea)"); err != nil {
		t.Fatal(err)
	}
	rows, bytes, err := pg.Pipe(t.Context(), from, to, "copy (select n, decode(repeat('00ff', 500000), 'hex') from generate_series(1, 20) n) to stdout", "copy public.t from stdin")
	if err != nil || rows != 20 || bytes < 40_000_000 {
		t.Fatalf("%d rows, %d bytes: %v", rows, bytes, err)
	}
	for _, c := range []struct{ read, write, code, side string }{
		{"copy (select n, null from generate_series(1, 1000000) n) to stdout", "copy public.t from stdin", "23505", "target"},
		{"copy (select 100 / (50 - n), '' from generate_series(30, 60) n) to stdout", "copy public.t from stdin", "22012", "source"},
		{"copy public.none to stdout", "copy public.t from stdin", "42P01", "source"},
		{"copy public.t to stdout", "copy public.none from stdin", "42P01", "target"},
	} {
		if _, _, err := pg.Pipe(t.Context(), from, to, c.read, c.write); pg.Code(err) != c.code || !strings.HasPrefix(err.Error(), c.side) {
			t.Errorf("%s: %v, want %s of the %s", c.read, err, c.code, c.side)
		}
		if !to.Alive() {
			t.Fatalf("%s: the target's session is gone", c.read)
		}
		if !from.Alive() { // it had more to give than anybody read
			from.Close()
			if from, err = pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := pg.Pipe(ctx, from, to, "copy (select n, pg_sleep(60)::text from generate_series(1, 9) n) to stdout", "copy public.t from stdin"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a copy that takes too long ends with %v", err)
	}
	var rowsThere int
	if err := to.QueryRow(t.Context(), "select count(*) from public.t").Scan(&rowsThere); err != nil || rowsThere != 20 {
		t.Errorf("%d rows are left of 20: %v", rowsThere, err)
	}
}

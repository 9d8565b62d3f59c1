package pg_test

import (
	"testing"

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
}

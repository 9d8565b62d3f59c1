package pg_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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
	rows, bytes, err := pg.Pipe(t.Context(), from, to, "copy (select n, decode(repeat('00ff', 500000), 'hex') from generate_series(1, 20) n) to stdout", "copy public.t from stdin", nil)
	if err != nil || rows != 20 || bytes < 40_000_000 {
		t.Fatalf("%d rows, %d bytes: %v", rows, bytes, err)
	}
	if _, err := to.Exec(t.Context(), `create table public.loud (n int, v text);
create function public.loud(n int) returns text language plpgsql as $$ begin if n % 3 = 0 then raise notice '%', repeat('x', n * 20000); end if; return n; end $$;
create function public.fewer() returns trigger language plpgsql as $$ begin if new.n = 7 then return null; end if; return new; end $$`); err != nil {
		t.Fatal(err)
	}
	loud := func() (int64, error) {
		rows, _, err := pg.Pipe(t.Context(), from, to, "copy (select n, public.loud(n) from generate_series(1, 50) n) to stdout", "copy public.loud from stdin", nil)
		return rows, err
	}
	if rows, err := loud(); err != nil || rows != 50 {
		t.Errorf("%d rows of 50 between notices: %v", rows, err)
	}
	if _, err := to.Exec(t.Context(), "create trigger fewer before insert on public.loud for each row execute function public.fewer()"); err != nil {
		t.Fatal(err)
	}
	if rows, err := loud(); err == nil || !strings.Contains(err.Error(), "gave 50 rows") || !strings.Contains(err.Error(), "taken 49") {
		t.Errorf("a row that the target has not taken: %d rows, %v", rows, err)
	}
	for _, c := range []struct{ read, write, code, side string }{
		{"copy (select n, null from generate_series(1, 1000000) n) to stdout", "copy public.t from stdin", "23505", "target"},
		{"copy (select 100 / (50 - n), '' from generate_series(30, 60) n) to stdout", "copy public.t from stdin", "22012", "source"},
		{"copy public.none to stdout", "copy public.t from stdin", "42P01", "source"},
		{"copy public.t to stdout", "copy public.none from stdin", "42P01", "target"},
	} {
		if _, _, err := pg.Pipe(t.Context(), from, to, c.read, c.write, nil); pg.Code(err) != c.code || !strings.HasPrefix(err.Error(), c.side) {
			t.Errorf("%s: %v, want %s of the %s", c.read, err, c.code, c.side)
		}
		for _, s := range []*pg.Session{from.Session, to.Session} {
			if _, err := s.Exec(t.Context(), "select 1"); err != nil {
				t.Fatalf("%s: behind it the session on the %s: %v", c.read, s.Side(), err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := pg.Pipe(ctx, from, to, "copy (select n, pg_sleep(60)::text from generate_series(1, 9) n) to stdout", "copy public.t from stdin", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a copy that takes too long ends with %v", err)
	}
	stop := errors.New("stop")
	if _, _, err := pg.Pipe(t.Context(), from, to, "copy (select n, repeat('x', 1000) from generate_series(100, 10000000) n) to stdout", "copy public.t from stdin",
		func(context.Context, int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a copy that was stopped ends with %v", err)
	}
	var rowsThere int
	if err := to.QueryRow(t.Context(), "select count(*) from public.t").Scan(&rowsThere); err != nil || rowsThere != 20 {
		t.Errorf("%d rows are left of 20: %v", rowsThere, err)
	}
}

// TestPipeHoldsNoRow: four rows of 200 MB at a time, and no more memory for it.
func TestPipeHoldsNoRow(t *testing.T) {
	a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: 15}).URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var most atomic.Uint64
	look := func(context.Context, int) error {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		for now := most.Load(); m.Sys > now && !most.CompareAndSwap(now, m.Sys); now = most.Load() {
		}
		return nil
	}
	group := errgroup.Group{}
	for i := range 4 {
		group.Go(func() error {
			from, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
			if err != nil {
				return err
			}
			defer from.Close()
			to, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
			if err != nil {
				return err
			}
			defer to.Close()
			if _, err := to.Exec(t.Context(), fmt.Sprintf("create table public.t%d (b bytea); alter table public.t%[1]d alter b set storage external", i)); err != nil {
				return err
			}
			_, bytes, err := pg.Pipe(t.Context(), from, to, "copy (select decode(repeat('00ff', 100000000), 'hex')) to stdout (format binary)", fmt.Sprintf("copy public.t%d from stdin (format binary)", i), look)
			if err == nil && bytes < 200_000_000 {
				err = fmt.Errorf("%d bytes", bytes)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 100<<20 {
		t.Errorf("four rows of 200 MB took %d MB of memory", most.Load()>>20)
	}
}

package sequences

import (
	"fmt"
	"maps"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestShares: positions that were prepared for are read exactly, whatever became of the sequences since: called for the
// first time, set back to uncalled, or set without a call, which no catalog tells.
func TestShares(t *testing.T) {
	for _, major := range []int{10, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testShares(t, major) })
	}
}

func testShares(t *testing.T, major int) {
	server := pgserver.StartT(t, pgserver.Options{Major: major})
	a, err := pg.ParseAddress(server.URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var sessions []*pg.Source
	for range 3 {
		s, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		sessions = append(sessions, s)
	}
	const n = 250
	run := func(sql string) {
		t.Helper()
		if _, err := sessions[0].Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(fmt.Sprintf("do $$ begin for i in 1..%d loop execute format('create sequence public.s%%s start %%s', i, i); end loop; end $$", n))
	run("do $$ begin for i in 1..100 loop perform nextval('public.s' || i); end loop; end $$")
	var of []plan.Sequence
	want := map[plan.Name]Position{}
	for i := 1; i <= n; i++ {
		s := plan.Sequence{Name: plan.Name{Schema: "public", Name: fmt.Sprintf("s%d", i)}, Increment: 1}
		of = append(of, s)
		want[s.Name] = Position{Last: int64(i), Called: i <= 100}
	}
	all, err := shares(t.Context(), sessions, of)
	if err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		got, err := readShares(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			for name, p := range want {
				if got[name] != p {
					t.Errorf("%s: read %+v, stands at %+v", name, got[name], p)
				}
			}
		}
	}
	look()
	run("select setval('public.s7', 70, false), setval('public.s120', 1200, false), nextval('public.s200'), setval('public.s201', 5000)")
	want[of[6].Name], want[of[119].Name] = Position{70, false}, Position{1200, false}
	want[of[199].Name], want[of[200].Name] = Position{200, true}, Position{5000, true}
	look()
	run("drop sequence public.s33")
	if _, err := readShares(t.Context(), all); err == nil {
		t.Error("a sequence that is gone was read")
	}
}

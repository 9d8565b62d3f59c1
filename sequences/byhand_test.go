package sequences

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// query takes the meta-commands of psql out of a script.
func query(script string) string {
	var kept []string
	for line := range strings.SplitSeq(script, "\n") {
		if !strings.HasPrefix(line, `\`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func openByHand(t *testing.T) func(sql string) [][]string {
	t.Helper()
	a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: 13}).URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := pg.OpenClient(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return func(sql string) [][]string {
		t.Helper()
		rows, err := s.Script(t.Context(), sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return rows
	}
}

// TestByHand: the script for psql gives the positions that pgleap itself would set, on real sequences.
func TestByHand(t *testing.T) {
	run := openByHand(t)
	whole := plan.Sequence{Increment: 1, Min: math.MinInt64, Max: math.MaxInt64}
	cycling := bigint(1)
	cycling.Cycle = true
	var of []plan.Sequence
	at := map[plan.Name]Position{}
	for i, c := range []struct {
		s  plan.Sequence
		at Position
	}{
		{bigint(1), Position{7, true}},
		{bigint(50), Position{100, true}},
		{bigint(-3), Position{-9, true}},
		{bigint(1), Position{1, false}},
		{cycling, Position{7, true}},
		{plan.Sequence{Increment: 1, Min: 1, Max: 32767}, Position{32467, true}},
		{whole, Position{math.MinInt64, true}},
		{plan.Sequence{Increment: -1, Min: math.MinInt64, Max: math.MaxInt64}, Position{math.MaxInt64, true}},
	} {
		s := c.s
		s.Name = plan.Name{Schema: "public", Name: fmt.Sprintf("It's %d", i)}
		of, at[s.Name] = append(of, s), c.at
		run(fmt.Sprintf("create sequence %s increment %d minvalue %d maxvalue %d; select setval(%s, %d, %t)", s.Name, s.Increment, s.Min, s.Max, plan.QuoteLiteral(s.Name.String()), c.at.Last, c.at.Called))
	}
	for _, margin := range []int64{0, 10, 1000} {
		// What the file would hold is run on the same server: the sequences are then where the new one's would be.
		run("select set_config('" + SetSetting + "', '0', false)")
		for _, line := range run(query(ByHand(of, margin, "f"))) {
			run(line[0])
		}
		if n := run("select current_setting('" + SetSetting + "')")[0][0]; n != fmt.Sprint(len(of)) {
			t.Errorf("margin %d: %s of %d sequences were set", margin, n, len(of))
		}
		for _, s := range of {
			want := Ahead(s, at[s.Name], margin)
			if got := run("select last_value, is_called from " + s.Name.String())[0]; got[0] != fmt.Sprint(want.Last) || (got[1] == "t") != want.Called {
				t.Errorf("margin %d, increment %d: %v, want %+v", margin, s.Increment, got, want)
			}
			run(fmt.Sprintf("select setval(%s, %d, %t)", plan.QuoteLiteral(s.Name.String()), at[s.Name].Last, at[s.Name].Called))
		}
	}
}

// TestLateByHand: what is behind goes forward, and nothing else moves.
func TestLateByHand(t *testing.T) {
	run := openByHand(t)
	cycling := bigint(1)
	cycling.Cycle = true
	for i, c := range []struct {
		name              string
		s                 plan.Sequence
		source, now, want Position
	}{
		{"behind", bigint(1), Position{9, true}, Position{7, true}, Position{9, true}},
		{"beyond", bigint(1), Position{9, true}, Position{12, true}, Position{12, true}},
		{"the same", bigint(1), Position{9, true}, Position{9, true}, Position{9, true}},
		{"the same, not called", bigint(1), Position{9, true}, Position{9, false}, Position{9, true}},
		{"never called on the source", bigint(1), Position{9, false}, Position{3, true}, Position{3, true}},
		{"behind, downwards", bigint(-1), Position{-9, true}, Position{-7, true}, Position{-9, true}},
		{"beyond, downwards", bigint(-1), Position{-9, true}, Position{-12, true}, Position{-12, true}},
		{"at the end of the range", plan.Sequence{Increment: -1, Min: math.MinInt64, Max: -1}, Position{math.MinInt64, true}, Position{-7, true}, Position{math.MinInt64, true}},
		{"cycling", cycling, Position{9, true}, Position{7, true}, Position{7, true}},
	} {
		c.s.Name = plan.Name{Schema: "public", Name: fmt.Sprintf(`late "%d"`, i)}
		set := func(p Position) {
			run(fmt.Sprintf("select setval(%s, %d, %t)", plan.QuoteLiteral(c.s.Name.String()), p.Last, p.Called))
		}
		run(fmt.Sprintf("create sequence %s increment %d minvalue %d maxvalue %d", c.s.Name, c.s.Increment, c.s.Min, c.s.Max))
		set(c.source)
		lines := run(query(LateByHand([]plan.Sequence{c.s}, "f")))
		set(c.now)
		for _, line := range lines {
			run(line[0])
		}
		if got := run("select last_value, is_called from " + c.s.Name.String())[0]; got[0] != fmt.Sprint(c.want.Last) || (got[1] == "t") != c.want.Called {
			t.Errorf("%s: %v, want %+v", c.name, got, c.want)
		}
	}
}

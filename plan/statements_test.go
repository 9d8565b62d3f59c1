package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatements(t *testing.T) {
	odd := []string{`lock table only "a;` + "\n" + `b" in share row exclusive mode`, `select 'x;` + "\n" + `y'`, "do $pgleap$ begin\n  perform 'it''s';\nend $pgleap$", "insert into t values ($1, $2)", "select 1"}
	if diff := cmp.Diff(odd, Statements(strings.Join(odd, ";\n"))); diff != "" {
		t.Error(diff)
	}
	if got := Statements(" ;\n"); got != nil {
		t.Errorf("%q", got)
	}
}

// Whatever a name holds, quoted it is one statement again.
func FuzzStatements(f *testing.F) {
	f.Add("a;\nb", `c"d`)
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []string{"lock table only " + Name{a, b}.String(), "select " + QuoteIdent(b)}
		if diff := cmp.Diff(want, Statements(strings.Join(want, ";\n"))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCaret(t *testing.T) {
	got := Caret("select a,\n  bad\nfrom t", 13)
	want := "    select a,\n      bad\n      ^"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

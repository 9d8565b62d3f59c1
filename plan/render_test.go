package plan

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgleap/internal/pgver"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

var sampleTime = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)

func TestRenderGolden(t *testing.T) {
	p := samplePlan()
	for name, write := range map[string]func(io.Writer) error{
		"plan.txt":     p.WriteText,
		"plan.md":      func(w io.Writer) error { return p.WriteMarkdown(w, sampleTime) },
		"plan.json":    p.Encode,
		"findings.txt": func(w io.Writer) error { return WriteFindings(w, p.Source, p.Target, p.Findings, 64) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "golden", name), b.Bytes())
		})
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *updateGolden {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; go test ./plan -update writes it anew (-want +got):\n%s", path, diff)
	}
}

// TestRenderHoldsEveryStatement: what is printed is what is executed.
func TestRenderHoldsEveryStatement(t *testing.T) {
	p := samplePlan()
	var text, md strings.Builder
	if err := p.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteMarkdown(&md, sampleTime); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Stages {
		for _, st := range s.Steps {
			for _, sql := range []string{st.Probe, st.Do.SQL, st.Undo.SQL} {
				if !strings.Contains(md.String(), sql) {
					t.Errorf("the runbook lacks a statement of %s:\n%s", st.ID, sql)
				}
				for line := range strings.SplitSeq(sql, "\n") {
					if !strings.Contains(text.String(), line) {
						t.Errorf("the text lacks a line of %s:\n%s", st.ID, line)
					}
				}
			}
			for _, want := range append(hazards(st), string(st.ID), st.Do.Call, st.Undo.Call) {
				if !strings.Contains(text.String(), want) || !strings.Contains(md.String(), want) {
					t.Errorf("step %s: %q is missing", st.ID, want)
				}
			}
		}
	}
}

func hazards(st Step) []string {
	return keys(st.Hazards, func(h Hazard) string { return string(h) })
}

func TestWriteFindings(t *testing.T) {
	facts := Facts{Version: pgver.Version(150018), Database: "shop"}
	full := Facts{Version: pgver.Version(180004), Database: "other_shop", UserObjects: []string{"function public.f()"}}
	for name, c := range map[string]struct {
		findings []Finding
		want     string
	}{
		"none": {nil, "no findings (3 checks)\n"},
		"an object that the problem does not name": {
			[]Finding{{Check: "x", Severity: Warning, Object: "public.t", Problem: "no key", Fix: "make one"}},
			"warning  x  public.t: no key\n         fix: make one\n1 finding, no blocker (3 checks)\n",
		},
		"several statements": {
			[]Finding{{Check: "x", Severity: Info, Problem: "p", SQL: "a;\nb;\n", Fix: "run both"}},
			"info     x  p\n         fix: run both\n              a;\n              b;\n1 finding, no blocker (3 checks)\n",
		},
		"statements alone": {
			[]Finding{{Check: "x", Severity: Info, Problem: "p", SQL: "a;\nb;"}},
			"info     x  p\n         fix: a;\n              b;\n1 finding, no blocker (3 checks)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := WriteFindings(&b, facts, full, c.findings, 3); err != nil {
				t.Fatal(err)
			}
			want := "source  PostgreSQL 15.18  shop        empty\ntarget  PostgreSQL 18.4   other_shop  not empty\n\n" + c.want
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

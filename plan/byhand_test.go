package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScriptIsReadBack(t *testing.T) {
	parts := []Typed{
		{TerminalOld, "look\nfirst", "\nselect 1;\n\n-- a comment\nselect 2;\n"},
		{TerminalShell, "", "diff a b"},
		{TerminalNew, "then", `\i file`},
	}
	want := []Typed{{TerminalOld, `look\nfirst`, "select 1;\n\n-- a comment\nselect 2;"}, {TerminalShell, "", "diff a b"}, {TerminalNew, "then", `\i file`}}
	got, nothing := Step{ByHand: Script(parts...), Do: Action{Call: "x"}}.byHand()
	if diff := cmp.Diff(want, got); diff != "" || nothing != "" {
		t.Errorf("read back with %q (-want +got):\n%s", nothing, diff)
	}
}

func TestByHandOfAStep(t *testing.T) {
	for name, c := range map[string]struct {
		step    Step
		typed   []Typed
		nothing string
	}{
		"one statement":       {Step{On: Source, Do: Action{SQL: "select 1"}}, []Typed{{TerminalOld, "", "select 1;"}}, ""},
		"several, or nothing": {Step{On: Target, Do: Action{SQL: "select 1;\nselect 2;"}}, []Typed{{TerminalNew, "", "begin;\nselect 1;\nselect 2;\ncommit;"}}, ""},
		"a part of pgleap":    {Step{Do: Action{SQL: "select 1", Call: "x"}}, nil, ""},
		"a secret":            {Step{Do: Action{SQL: "create subscription s connection '{{source_conninfo}}'"}}, nil, ""},
		"an array":            {Step{On: Target, Do: Action{SQL: "select '{{1,2},{3,4}}'"}}, []Typed{{TerminalNew, "", "select '{{1,2},{3,4}}';"}}, ""},
		"not needed":          {Step{Do: Action{Call: "x"}, ByHand: NothingByHand("only we\nread it")}, nil, `only we\nread it`},
	} {
		t.Run(name, func(t *testing.T) {
			got, nothing := c.step.byHand()
			if diff := cmp.Diff(c.typed, got); diff != "" || nothing != c.nothing {
				t.Errorf("nothing %q, want %q (-want +got):\n%s", nothing, c.nothing, diff)
			}
		})
	}
}

// A name may hold what ends a DO block.
func TestDoBlockHoldsAnyName(t *testing.T) {
	body := "begin\nlock table \"a$pgleap$b$x$\";\nend"
	got := DoBlock(body)
	tag, rest, _ := strings.Cut(strings.TrimPrefix(got, "do "), "\n")
	inner, after, found := strings.Cut(rest, tag)
	if !found || strings.TrimRight(inner, "\n") != body || after != ";" {
		t.Errorf("the block does not hold its body: %s", got)
	}
}

// What cannot be typed is said where it stands, and not printed as if it could.
func TestRunbookSaysWhatCannotBeTyped(t *testing.T) {
	p := Plan{Stages: []Stage{{ID: StageSchema, Steps: []Step{{ID: "x", Title: "X", On: Target, Do: Action{SQL: "select 1", Call: "part"}}}}}}
	var b strings.Builder
	if err := p.WriteMarkdown(&b, sampleTime); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "cannot be typed") || strings.Contains(b.String(), "```sql\nselect 1") {
		t.Error(b.String())
	}
}

package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown prints the plan as a runbook: a box to tick for every step, and its statements byte for byte
// as they are sent.
func (p Plan) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Upgrade of %s from PostgreSQL %s to %s\n\n", mdText(p.Source.Database), p.Source.Version, p.Target.Version)
	fmt.Fprintf(&b, "Run %s.\n\n", mdText(p.headline()))
	b.WriteString("| | server | database | holds |\n|---|---|---|---|\n")
	for _, row := range [][]string{serverRow("source", p.Source), serverRow("target", p.Target)} {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row[0], row[1], mdText(row[2]), strings.Join(row[3:], ", "))
	}
	p.Totals.mdTotals(&b)
	mdFindings(&b, p.Findings)
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "\n## %d. %s: %s\n", i+1, mdText(string(s.ID)), mdText(s.Title))
		for _, note := range s.notes() {
			fmt.Fprintf(&b, "\n> **%s**\n", note)
		}
		if s.Session != "" {
			b.WriteString("\nA session of this stage begins with:\n")
			mdSQL(&b, s.Session)
		}
		for _, st := range s.Steps {
			mdStep(&b, s, st)
		}
	}
	return flush(w, &b)
}

func mdFindings(b *bytes.Buffer, findings []Finding) {
	if len(findings) == 0 {
		return
	}
	b.WriteString("\n## Findings\n")
	for _, f := range bySeverity(findings) {
		first, rest := problemLines(f)
		fmt.Fprintf(b, "\n- [ ] **%s** %s: %s\n", severityWord(f.Severity), f.Check, mdText(strings.Join(append([]string{first}, rest...), " ")))
		if f.Fix != "" {
			fmt.Fprintf(b, "\n  Fix: %s\n", mdText(f.Fix))
		}
		mdSQL(b, f.SQL)
	}
}

func mdStep(b *bytes.Buffer, s Stage, st Step) {
	fmt.Fprintf(b, "\n- [ ] **%s** on the **%s**: %s\n", mdText(string(st.ID)), st.On, mdText(st.Title))
	if st.Why != "" {
		fmt.Fprintf(b, "\n  %s\n", mdText(st.Why))
	}
	for _, h := range st.Hazards {
		fmt.Fprintf(b, "\n  ⚠ %s\n", h)
	}
	for _, line := range s.costs(st) {
		fmt.Fprintf(b, "\n  %s\n", mdText(line))
	}
	if st.Batch != "" {
		fmt.Fprintf(b, "\n  Side by side with the other steps of batch %s.\n", mdText(st.Batch))
	}
	for _, part := range st.parts() {
		fmt.Fprintf(b, "\n  %s\n", mdText(part.label))
		mdSQL(b, part.sql)
	}
}

// mdSQL writes the block at the left margin: what is copied from the runbook is then what pgleap sends, also
// where a string constant goes over several lines.
func mdSQL(b *bytes.Buffer, sql string) {
	sql = strings.Trim(sql, "\n")
	if sql == "" {
		return
	}
	fence := "```"
	for strings.Contains(sql, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "\n%ssql\n%s\n%s\n", fence, sql, fence)
}

// mdText keeps names from being read as Markdown or HTML.
func mdText(s string) string {
	return mdEscapes.Replace(OneLine(s))
}

var mdEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `[`, `\[`, `]`, `\]`, `|`, `\|`, `#`, `\#`,
)

package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteMarkdown prints the plan as a runbook: a document by which somebody who has psql, pg_dump and two
// terminals carries the upgrade out by hand. made is when; the plan itself knows no clock.
//
// A block of SQL or of shell is typed, in the order of the document, in the terminal that the line above it
// names. Every other block is text: how to look whether a step is done, how to take it back, what pgleap sends.
func (p Plan) WriteMarkdown(w io.Writer, made time.Time) error {
	var b bytes.Buffer
	p.mdHead(&b, made)
	p.mdContents(&b)
	mdRoles(&b)
	p.mdNeeded(&b)
	p.mdFindings(&b)
	p.mdOpening(&b)
	for i, s := range p.Stages {
		p.mdStage(&b, i+1, s)
	}
	p.mdBack(&b)
	return flush(w, &b)
}

func (p Plan) mdHead(b *bytes.Buffer, made time.Time) {
	fmt.Fprintf(b, "# Runbook: database %s from PostgreSQL %s to %s\n\n", mdText(p.Source.Database), p.Source.Version, p.Target.Version)
	fmt.Fprintf(b, "Run %s. Written %s.\n\n", mdText(p.headline()), made.UTC().Format("2006-01-02 15:04 MST"))
	b.WriteString("The rows are copied and then followed by logical replication while the application works on. At the switch writes wait for a moment; then the application goes on with the new server.\n\n")
	b.WriteString("| | address | server | database | holds |\n|---|---|---|---|---|\n")
	for _, f := range []struct {
		name  string
		facts Facts
	}{{"old (the source)", p.Source}, {"new (the target)", p.Target}} {
		row := serverRow(f.name, f.facts)
		fmt.Fprintf(b, "| **%s** | %s | %s | %s | %s |\n", row[0], mdText(f.facts.Address), row[1], mdText(row[2]), strings.Join(row[3:], ", "))
	}
	if p.Totals != nil {
		p.Totals.mdTable(b)
	}
}

// mdTable prints what a reviewer asks for first.
func (t Totals) mdTable(b *bytes.Buffer) {
	b.WriteString("\n| | how much | how long, and why we believe it |\n|---|---|---|\n")
	fmt.Fprintf(b, "| first copy | %s, %s | %s |\n", plural(t.Tables, "table"), HumanBytes(t.Bytes), t.Copy.words())
	fmt.Fprintf(b, "| indexes | %d, %s | %s |\n", t.Indexes, HumanBytes(t.IndexBytes), t.Index.words())
	fmt.Fprintf(b, "| statistics | %s | %s |\n", plural(t.Tables, "table"), t.Analyze.words())
	fmt.Fprintf(b, "| **writes stand still** | at the switch | %s; typed by hand: as long as the typing takes |\n", t.Stall.words())
	limit := HumanBytes(t.WALLimit)
	switch {
	case t.WALLimit < 0:
		limit = "no limit: a full disk is the limit"
	case t.WALLimit == 0:
		limit = "not known"
	}
	if t.RetainedWAL > 0 || t.WALBasis != "" {
		fmt.Fprintf(b, "| WAL that the old server keeps | %s | %s; limit: %s |\n", HumanBytes(t.RetainedWAL), mdText(t.WALBasis), limit)
	}
}

// words says how long it takes and why; nothing known is said, too.
func (e Estimate) words() string {
	if e.Seconds <= 0 && e.Basis == "" {
		return "not known"
	}
	text := "about " + HumanDuration(time.Duration(e.Seconds*float64(time.Second)))
	if e.Basis != "" {
		text += " (" + mdText(e.Basis) + ")"
	}
	return text
}

func (p Plan) mdContents(b *bytes.Buffer) {
	b.WriteString("\n## Contents\n\n- [Who to call](#who)\n- [What is needed, and how to read this](#needed)\n")
	if len(p.Findings) > 0 {
		b.WriteString("- [What was found](#found)\n")
	}
	if len(p.Stages) > 0 {
		b.WriteString("- [Open the terminals](#open)\n")
	}
	for i, s := range p.Stages {
		note := ""
		if s.ID == StageSwitch {
			note = " ← **writes stop here; [on one page](#on-one-page)**"
		}
		fmt.Fprintf(b, "- [%d. %s](#stage-%s): %s, %s%s\n", i+1, mdText(string(s.ID)), mdText(string(s.ID)), mdText(s.Title), plural(len(s.Steps), "step"), note)
	}
}

func mdRoles(b *bytes.Buffer) {
	b.WriteString(`
## Who to call
<a id="who"></a>

| | name | telephone |
|---|---|---|
| carries this out | ____________________ | ____________________ |
| reads along, and ticks the boxes | ____________________ | ____________________ |
| on-call DBA | ____________________ | ____________________ |
| owner of the application: sends it to the new server | ____________________ | ____________________ |
| **decides to go back** | ____________________ | ____________________ |

Planned for the switch: date ____________, from ______ to ______. If it has not begun by ______ it is put off.
`)
}

func (p Plan) mdFindings(b *bytes.Buffer) {
	if len(p.Findings) == 0 {
		return
	}
	b.WriteString("\n## What was found\n<a id=\"found\"></a>\n")
	if Blocked(p.Findings) {
		b.WriteString("\n> **A BLOCKER stands below: do not begin before it is mended, and make this document anew then.**\n")
	}
	for _, f := range bySeverity(p.Findings) {
		first, rest := problemLines(f)
		fmt.Fprintf(b, "\n- [ ] **%s** %s: %s\n", severityWord(f), f.Check, mdText(strings.Join(append([]string{first}, rest...), "; ")))
		if f.Fix != "" {
			fmt.Fprintf(b, "\n  Mend: %s\n", mdText(f.Fix))
		}
		mdBlock(b, "text", f.SQL)
	}
}

// mdBlock writes the block at the left margin: what is copied from the runbook is then what is meant, also where
// a string constant goes over several lines. A long one is folded.
func mdBlock(b *bytes.Buffer, kind, text string) { mdFolds(b, kind, text, "<details>") }

// mdFolds is mdBlock with the tag that folds a long block.
func mdFolds(b *bytes.Buffer, kind, text, details string) {
	text = strings.Trim(text, "\n")
	if text == "" {
		return
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	const long = 40
	lines := strings.Count(text, "\n") + 1
	if lines > long {
		fmt.Fprintf(b, "\n%s<summary>%d lines</summary>\n", details, lines)
	}
	fmt.Fprintf(b, "\n%s%s\n%s\n%s\n", fence, kind, text, fence)
	if lines > long {
		b.WriteString("\n</details>\n")
	}
}

// mdTyped writes what is typed, under the terminal it is typed in.
func mdTyped(b *bytes.Buffer, t Typed) { mdTypedFolds(b, t, "<details>") }

func mdTypedFolds(b *bytes.Buffer, t Typed, details string) {
	kind, name := "sql", "Terminal "+string(t.In)
	if t.In == TerminalShell {
		kind, name = "sh", "A shell"
	}
	if t.About != "" {
		name += ": " + mdText(t.About)
	}
	fmt.Fprintf(b, "\n▶ **%s**\n", name)
	mdFolds(b, kind, t.Text, details)
}

// mdText keeps names from being read as Markdown or HTML.
// MarkdownText makes s safe to stand in a line of Markdown, whatever a name holds.
func MarkdownText(s string) string { return mdText(s) }

func mdText(s string) string {
	return mdEscapes.Replace(OneLine(s))
}

var mdEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `[`, `\[`, `]`, `\]`, `|`, `\|`, `#`, `\#`,
)

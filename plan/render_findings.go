package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteFindings prints what a check of both servers found: the servers, the findings with the worst first,
// and their number out of the checks that were made.
func WriteFindings(w io.Writer, source, target Facts, findings []Finding, checks int) error {
	var b bytes.Buffer
	writeServers(&b, source, target)
	b.WriteString("\n")
	writeFindings(&b, findings)
	b.WriteString(summary(findings, checks))
	b.WriteString("\n")
	return flush(w, &b)
}

// flush hands the finished text over in one piece.
func flush(w io.Writer, b *bytes.Buffer) error {
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

func writeServers(b *bytes.Buffer, source, target Facts) {
	rows := [][]string{serverRow("source", source), serverRow("target", target)}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			width := 0
			for _, other := range rows {
				if i < len(other) && i < len(row)-1 {
					width = max(width, utf8.RuneCountInString(other[i]))
				}
			}
			line.WriteString(pad(cell, width) + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func serverRow(name string, f Facts) []string {
	row := []string{name, "PostgreSQL " + f.Version.String(), OneLine(f.Database)}
	tables, size := 0, int64(0)
	for _, r := range f.Relations {
		if r.IsTable() && r.Name.Schema != ourSchema {
			tables, size = tables+1, size+r.Bytes
		}
	}
	switch {
	case tables > 0:
		return append(row, plural(tables, "table"), HumanBytes(size))
	case len(f.UserObjects) > 0:
		return append(row, "not empty")
	default:
		return append(row, "empty")
	}
}

// Columns of a finding: its severity, then its check.
const severityWidth = 9

func writeFindings(b *bytes.Buffer, findings []Finding) {
	sorted := bySeverity(findings)
	checkWidth := 0
	for _, f := range sorted {
		checkWidth = max(checkWidth, len(f.Check))
	}
	for _, f := range sorted {
		first, rest := problemLines(f)
		fmt.Fprintf(b, "%s%s  %s\n", pad(severityWord(f), severityWidth), pad(f.Check, checkWidth), first)
		for _, line := range append(rest, fixLines(f)...) {
			b.WriteString(strings.Repeat(" ", severityWidth) + line + "\n")
		}
	}
}

func bySeverity(findings []Finding) []Finding {
	rank := map[Severity]int{Blocker: 0, Warning: 1, Info: 2}
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return sorted
}

// severityWord shouts what stops the upgrade, so that it is seen without colour.
func severityWord(f Finding) string {
	switch {
	case f.Severity == Blocker:
		return "BLOCKER"
	case f.Accepted:
		return "accepted"
	}
	return string(f.Severity)
}

// problemLines says the problem, led by the object where the sentence does not name it itself.
func problemLines(f Finding) (string, []string) {
	lines := strings.Split(strings.TrimSpace(f.Problem), "\n")
	for i := range lines {
		lines[i] = OneLine(lines[i])
	}
	object := OneLine(f.Object)
	if object != "" && !strings.Contains(strings.Join(lines, "\n"), object) {
		lines[0] = object + ": " + lines[0]
	}
	return lines[0], lines[1:]
}

// fixLines gives the statements to paste first and the sentence behind them.
func fixLines(f Finding) []string {
	sql, fix := strings.TrimSpace(f.SQL), OneLine(strings.TrimSpace(f.Fix))
	if sql != "" && fix != "" && f.On != "" {
		fix = "on the " + string(f.On) + "; " + fix
	}
	switch {
	case sql == "" && fix == "":
		return nil
	case sql == "":
		return []string{"fix: " + fix}
	case fix == "":
		return indentAll("fix: ", sql)
	case strings.Contains(sql, "\n"):
		return append([]string{"fix: " + fix}, indentAll("     ", sql)...)
	default:
		return []string{"fix: " + sql + "   (" + fix + ")"}
	}
}

// indentAll puts first before the first line of text, and as many blanks before the others.
func indentAll(first, text string) []string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(first+lines[i], " ")
		first = strings.Repeat(" ", len(first))
	}
	return lines
}

// exitColumn is where the sample in every --help shows the exit code.
const exitColumn = 82

// summary counts the findings. A blocked upgrade shows the exit code that scripts see.
func summary(findings []Finding, checks int) string {
	blockers := 0
	for _, f := range findings {
		if f.Severity == Blocker {
			blockers++
		}
	}
	switch {
	case len(findings) == 0:
		return fmt.Sprintf("no findings (%s)", plural(checks, "check"))
	case blockers == 0:
		return fmt.Sprintf("%s, no blocker (%s)", plural(len(findings), "finding"), plural(checks, "check"))
	default:
		line := fmt.Sprintf("%s, %s (%s)", plural(len(findings), "finding"), plural(blockers, "blocker"), plural(checks, "check"))
		return pad(line, exitColumn) + "exit 3"
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

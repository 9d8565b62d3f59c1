package plan

import (
	"bytes"
	"fmt"
	"slices"
)

// totalRow is one number of the totals and where it comes from.
type totalRow struct{ label, value, basis string }

// rows are the totals in the order in which a reviewer asks for them.
func (t Totals) rows() []totalRow {
	rows := []totalRow{
		{"first copy", humanSeconds(t.Copy.Seconds), t.Copy.Basis},
		{"indexes and keys", humanSeconds(t.Index.Seconds), t.Index.Basis},
		{"analyze", humanSeconds(t.Analyze.Seconds), t.Analyze.Basis},
	}
	held := "not known"
	if t.RetainedWAL > 0 {
		held = HumanBytes(t.RetainedWAL)
	}
	switch {
	case t.WALLimit < 0:
		held += ", without a limit"
	case t.RetainedWAL > t.WALLimit:
		held += ", MORE THAN the limit of " + HumanBytes(t.WALLimit)
	default:
		held += ", of at most " + HumanBytes(t.WALLimit)
	}
	return append(rows, totalRow{"WAL kept on source", held, t.WALBasis}, totalRow{"writes stand still", humanSeconds(t.Stall.Seconds), t.Stall.Basis})
}

// writeTotals prints the totals for a terminal.
func (t *Totals) writeTotals(b *bytes.Buffer) {
	if t == nil {
		return
	}
	b.WriteString("\nexpected, from what was measured and read when the plan was made\n")
	for _, r := range t.rows() {
		fmt.Fprintf(b, "  %s  %s%s\n", pad(r.label, 18), pad(OneLine(r.value), 8), inBrackets(r.basis))
	}
}

func inBrackets(basis string) string {
	if basis == "" {
		return ""
	}
	return "  (" + OneLine(basis) + ")"
}

// costs are what a reviewer weighs of a step: what it locks, who notices, whether there is a way back, and
// how long it takes. Each is a line of text on its own.
func (s Stage) costs(st Step) []string {
	var lines []string
	if st.Lock != "" {
		lines = append(lines, "locks: "+OneLine(st.Lock))
	}
	if st.Notice != "" {
		lines = append(lines, "production notices: "+OneLine(st.Notice))
	}
	lines = append(lines, "reversible: "+s.wayBack(st))
	if st.Estimate != nil {
		lines = append(lines, "takes about "+humanSeconds(st.Estimate.Seconds)+inBrackets(st.Estimate.Basis))
	}
	return lines
}

func (s Stage) wayBack(st Step) string {
	switch {
	case s.Irreversible || slices.Contains(st.Hazards, HazardFinal):
		return "no"
	case !st.Undo.IsZero():
		return "yes, by its undo"
	case s.UndoOnFailure:
		return "yes, with the whole stage"
	}
	return "yes, pgleap abort takes it back with the rest"
}

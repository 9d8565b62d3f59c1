package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteText prints the plan for a terminal: every statement that will run, in order, on which side, how it is
// probed and taken back, and why it may hurt.
func (p Plan) WriteText(w io.Writer) error {
	var b bytes.Buffer
	writeServers(&b, p.Source, p.Target)
	fmt.Fprintf(&b, "run     %s\n", p.headline())
	p.Totals.writeTotals(&b)
	if len(p.Findings) > 0 {
		b.WriteString("\n")
		writeFindings(&b, p.Findings)
	}
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "\nSTAGE %d of %d  %s: %s\n", i+1, len(p.Stages), OneLine(string(s.ID)), OneLine(s.Title))
		writeStage(&b, s)
	}
	if p.HasWayBack() {
		b.WriteString("\nTHE WAY BACK: pgleap rollback carries this out, at any time from the release to pgleap finalize\n")
	}
	for _, s := range p.Back {
		fmt.Fprintf(&b, "\nSTAGE %s: %s\n", OneLine(string(s.ID)), OneLine(s.Title))
		writeStage(&b, s)
	}
	return flush(w, &b)
}

func writeStage(b *bytes.Buffer, s Stage) {
	for _, note := range s.notes() {
		b.WriteString("  ! " + note + "\n")
	}
	if s := s.sessionText(); s != "" {
		b.WriteString("  a session of this stage begins with:\n")
		for _, line := range indentAll("        ", s) {
			b.WriteString(line + "\n")
		}
	}
	for _, st := range s.Steps {
		writeStep(b, s, st)
	}
}

func writeStep(b *bytes.Buffer, s Stage, st Step) {
	fmt.Fprintf(b, "\n  %s  on the %s: %s\n", OneLine(string(st.ID)), st.On, OneLine(st.Title))
	if st.Why != "" {
		fmt.Fprintf(b, "    why: %s\n", OneLine(st.Why))
	}
	for _, h := range st.Hazards {
		fmt.Fprintf(b, "    ! %s\n", h)
	}
	for _, line := range s.costs(st) {
		fmt.Fprintf(b, "    %s\n", line)
	}
	if st.Batch != "" {
		fmt.Fprintf(b, "    side by side with the other steps of batch %s%s\n", OneLine(st.Batch), map[bool]string{true: ", as soon as the table's rows are there"}[st.Early])
	}
	for _, part := range st.parts() {
		b.WriteString("    " + part.label + "\n")
		for _, line := range indentAll("        ", strings.Trim(part.sql, "\n")) {
			if part.sql != "" {
				b.WriteString(line + "\n")
			}
		}
	}
}

// headline says what the plan is for, and what of the operator's choice is not visible in its steps.
func (p Plan) headline() string {
	parts := []string{OneLine(string(p.Run))}
	if p.Tool != "" {
		parts = append(parts, "made by "+maker(p.Tool))
	}
	if p.Options.MaxWriteStall > 0 {
		parts = append(parts, "writes may stall "+HumanDuration(p.Options.MaxWriteStall))
	}
	return strings.Join(parts, ", ")
}

// notes are what an operator must know of a stage before it begins.
func (s Stage) notes() []string {
	var notes []string
	if s.Irreversible {
		notes = append(notes, "POINT OF NO RETURN: from here on there is no abort")
	}
	if s.Budget > 0 {
		notes = append(notes, "ends within "+HumanDuration(s.Budget)+", or it fails")
	}
	if s.UndoOnFailure {
		notes = append(notes, "is undone by itself when it fails")
	}
	return notes
}

// part is one of the texts of a step, with the words that introduce it.
type part struct{ label, sql string }

// parts are the texts of a step in the order in which they count.
func (st Step) parts() []part {
	var parts []part
	if st.Probe != "" {
		parts = append(parts, part{"probe, is it done:", st.Probe})
	}
	if st.Recorded {
		parts = append(parts, part{"probe: its record in the journal, which commits with its statements", ""})
	}
	parts = append(parts, st.Do.part("do"))
	if st.Undo.IsZero() {
		return append(parts, part{"undo: nothing", ""})
	}
	return append(parts, st.Undo.part("undo"))
}

func (a Action) part(word string) part {
	switch {
	case a.IsZero():
		return part{word + ": nothing", ""}
	case a.Call == "":
		return part{word + ":", a.SQL}
	case a.SQL == "":
		return part{word + ", by pgleap itself: " + OneLine(a.Call), ""}
	default:
		return part{word + ", by pgleap itself: " + OneLine(a.Call) + ", which sends:", a.SQL}
	}
}

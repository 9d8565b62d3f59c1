package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// mdStep prints a step: its box, what it does to production, what is typed, and folded away the rest.
func (s Stage) mdStep(b *bytes.Buffer, number string, st Step) {
	parts, nothing := st.byHand()
	fmt.Fprintf(b, "\n### %s %s\n", number, mdText(st.Title))
	if s.ID == StageSwitch {
		fmt.Fprintf(b, "<a id=\"step-%s\"></a>\n", strings.ReplaceAll(number, ".", "-"))
	}
	fmt.Fprintf(b, "\n- [ ] `%s` on the **%s**%s", mdCode(string(st.ID)), sideWord(st.On), terminalsOf(parts))
	if st.Why != "" {
		fmt.Fprintf(b, ": %s", mdText(st.Why))
	}
	fmt.Fprintf(b, "\n- %s\n", s.mdMeets(st))
	if st.Batch != "" {
		fmt.Fprintf(b, "- In any order with its neighbours: %s\n", mdText(st.Batch))
	}
	mdHazards(b, st.Hazards)
	if s.UndoOnFailure && slices.Contains(st.Hazards, HazardFinal) {
		b.WriteString("\n> **THE POINT OF NO RETURN. Before it: `rollback;` in both terminals. Behind it: forward only.**\n")
	}
	switch {
	case nothing != "":
		fmt.Fprintf(b, "\nBy hand there is nothing to type: %s.\n", mdText(nothing))
	case len(parts) == 0:
		b.WriteString("\n> **This step cannot be typed**: pgleap does more than its statements say. By hand it needs a way of your own, before you begin.\n")
	}
	details := "<details>"
	if s.ID == StageSwitch { // nobody unfolds anything while writes wait
		details = "<details open>"
	}
	for _, t := range parts {
		mdTypedFolds(b, t, details)
	}
	if st.Trouble != "" {
		fmt.Fprintf(b, "\n**When it fails:** %s.\n", mdText(strings.TrimSuffix(st.Trouble, ".")))
	}
	mdFolded(b, st, parts)
}

// mdMeets says in a line what production meets of the step.
func (s Stage) mdMeets(st Step) string {
	lock, notice := "none that anybody meets", "nothing"
	if st.Lock != "" {
		lock = mdText(st.Lock)
	}
	if st.Notice != "" {
		notice = mdText(st.Notice)
	}
	text := fmt.Sprintf("Lock: %s. Production notices: %s. Taken back: %s.", lock, notice, s.reversible(st))
	if st.Estimate != nil {
		text += " Takes " + st.Estimate.words() + "."
	}
	return text
}

// reversible says whether a step can be taken back.
func (s Stage) reversible(st Step) string {
	switch {
	case s.Irreversible || slices.Contains(st.Hazards, HazardFinal):
		return "**no**"
	case s.UndoOnFailure:
		return "rollback; at once"
	case st.Undo.SQL != "":
		return "yes, see below"
	case st.On == Target:
		return "with the new database"
	}
	return "there is nothing to take back"
}

func mdHazards(b *bytes.Buffer, hazards []Hazard) {
	for _, h := range hazards {
		fmt.Fprintf(b, "\n⚠ %s\n", h)
	}
}

// mdFolded holds what is not typed in order: the question whether it is done, the way back, and what pgleap
// itself sends.
func mdFolded(b *bytes.Buffer, st Step, parts []Typed) {
	type text struct{ label, sql string }
	var texts []text
	if st.Probe != "" {
		texts = append(texts, text{fmt.Sprintf("Is it done? In terminal %s this says `done`; `absent` is not yet, anything else is what is wrong:", TerminalOf(st.On)), Terminated(st.Probe)})
	}
	if !st.Undo.IsZero() {
		label := fmt.Sprintf("To take it back, in terminal %s:", TerminalOf(st.On))
		if st.Undo.Call != "" {
			label = fmt.Sprintf("To take it back (pgleap does it by its part `%s`):", mdCode(st.Undo.Call))
		}
		if st.Undo.SQL != "" {
			texts = append(texts, text{label, Terminated(st.Undo.SQL)})
		} else {
			texts = append(texts, text{label + " drop the new database and make it again.", ""})
		}
	}
	if shown := shownBy(parts, st.Do.SQL); st.Do.Call != "" || !shown {
		label := "pgleap sends:"
		if st.Do.Call != "" {
			label = fmt.Sprintf("pgleap does it by its part `%s`", mdCode(st.Do.Call))
			if !shown {
				label += ", which sends:"
			}
		}
		sql := st.Do.SQL
		if shown {
			sql = ""
		}
		texts = append(texts, text{label, sql})
	}
	if len(texts) == 0 {
		return
	}
	b.WriteString("\n<details><summary>Is it done, how it is taken back, what pgleap sends</summary>\n")
	for _, t := range texts {
		fmt.Fprintf(b, "\n%s\n", t.label)
		mdBlock(b, "text", t.sql)
	}
	b.WriteString("\n</details>\n")
}

// shownBy tells whether one of the parts holds the statements as they are.
func shownBy(parts []Typed, sql string) bool {
	sql = strings.Trim(sql, "\n")
	return sql == "" || slices.ContainsFunc(parts, func(t Typed) bool { return strings.Contains(t.Text, sql) })
}

// terminalsOf names the terminals of a step that is typed in more than one.
func terminalsOf(parts []Typed) string {
	var names []string
	for _, t := range parts {
		if !slices.Contains(names, string(t.In)) {
			names = append(names, string(t.In))
		}
	}
	if len(names) < 2 {
		return ""
	}
	return " (typed in " + strings.Join(names, " and ") + ")"
}

func sideWord(s Side) string {
	if s == Source {
		return "old server"
	}
	return "new server"
}

// mdCode keeps a name within backticks.
func mdCode(s string) string { return strings.ReplaceAll(OneLine(s), "`", "´") }

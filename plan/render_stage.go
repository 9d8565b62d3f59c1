package plan

import (
	"bytes"
	"fmt"
	"strings"
)

// mdStage prints a stage: what it does, how it is taken back, its steps.
func (p Plan) mdStage(b *bytes.Buffer, number int, s Stage) {
	fmt.Fprintf(b, "\n## %d. %s\n<a id=\"stage-%s\"></a>\n\n%s.\n", number, mdText(string(s.ID)), mdText(string(s.ID)), mdText(s.Title))
	words := stageWords[s.ID]
	if words.what != "" {
		fmt.Fprintf(b, "\n%s\n", words.what)
	}
	if s.Irreversible {
		b.WriteString("\n> **BEHIND THE POINT OF NO RETURN: there is no way back any more**\n")
	}
	back := words.back
	if back == "" {
		back = "as its steps say"
	}
	fmt.Fprintf(b, "\n- **Taken back:** %s\n", back)
	if words.fails != "" {
		fmt.Fprintf(b, "- **When it fails:** %s\n", words.fails)
	}
	b.WriteString("- Begun at ______  ended at ______  by ____________________\n")
	if s.ID == StageSwitch {
		s.mdOnOnePage(b, number)
	}
	if s := s.sessionText(); s != "" {
		mdTyped(b, Typed{In: TerminalNew, About: "what this stage needs of its session", Text: Terminated(s)})
	}
	for i := 0; i < len(s.Steps); {
		n := s.group(i)
		if n > 1 {
			s.mdGroup(b, number, i, n)
		} else {
			s.mdStep(b, fmt.Sprintf("%d.%d", number, i+1), s.Steps[i])
		}
		i += n
	}
}

// mdOnOnePage is the switch as a table: what is typed where, and how one gets out of it.
func (s Stage) mdOnOnePage(b *bytes.Buffer, number int) {
	b.WriteString("\n### The switch on one page\n<a id=\"on-one-page\"></a>\n\n")
	b.WriteString("Have both terminals side by side, the blocks below at hand, and the application's owner on the line. Paste one block after the other without a pause; each answers in less than a second.\n\n")
	b.WriteString("| | terminal | block | step |\n|---|---|---|---|\n")
	row := 0
	for i, st := range s.Steps {
		parts, _ := st.byHand()
		for _, t := range parts {
			row++
			about := t.About
			if about == "" {
				about = st.Title
			}
			fmt.Fprintf(b, "| ☐ %d | **%s** | %s | [%d.%d](#step-%d-%d) |\n", row, t.In, mdText(about), number, i+1, number, i+1)
		}
	}
	fmt.Fprintf(b, "| ☐ %d | | **the application goes to the new server**: its owner does it now | |\n", row+1)
	b.WriteString("\n**To go back, at any moment before THE POINT OF NO RETURN:** `rollback;` in terminal OLD, `rollback;` in terminal NEW. The writes that waited go on at the old server, without an error, and nothing has happened.\n")
	if s.Budget > 0 {
		fmt.Fprintf(b, "\nDecide beforehand how long writes may wait (pgleap itself gives up after %s): ______ seconds after the locks, type it. Whoever holds terminal OLD loses the locks by himself when it dies, or is idle for five minutes.\n", HumanDuration(s.Budget))
	}
}

// stageText is what is said of a stage whatever its steps are.
type stageText struct{ what, back, fails string }

var stageWords = map[StageID]stageText{
	StageSchema: {
		what:  "Types, functions, tables, views and the keys by which replication finds a row. Secondary indexes, foreign keys and triggers come after the copy: it is several times quicker so. The old server is only read.",
		back:  "yes, wholly. The new database was empty: drop it and make it again as it was.",
		fails: "a block is all or nothing. Something that the new version refuses (an extension, a function, a type that is gone) is mended on the OLD server first and this document made anew, or left out by agreement with its owner.",
	},
	StagePublish: {
		what:  "From the slot on the old server keeps its WAL until the new one has taken it. **A slot that nobody reads fills the old server's disk**: when this upgrade is put off for days, take this stage back.",
		back:  "yes, wholly: the undo of its steps, the last one first.",
		fails: "nothing of the application depends on it. Take it back, or mend the cause and go on.",
	},
	StageSubscribe: {
		what:  "The new server connects to the old one, copies every row, and then follows. A table's indexes are built, and its statistics made, as soon as its rows are there. The application notices nothing but the load of reading every table once.",
		back:  "yes: the undo of the subscription, then of stage publish, then drop the new database and make it again.",
		fails: "the application is not touched. Watch the old server's disk: while the copy stands still, WAL is kept. \"deadlock detected\": it met the apply worker; paste the block again. A unique index that cannot be built: the rows of the OLD server break it (an invalid index there); mend them there. **Without statistics the new server is slow for hours: do not leave them out.**",
	},
	StageFinish: {
		what:  "Foreign keys, triggers, views and what else was left out for the sake of the copy. The new server follows all the while; the old one is only read. When a block waits for long, it waits for the apply worker, or the apply worker for it.",
		back:  "yes: as stage subscribe.",
		fails: "\"deadlock detected\": it met the apply worker; paste the block again. A foreign key that cannot be built: the rows of the OLD server break it (a constraint that is not valid there); mend them there.",
	},
	StageSwitch: {
		what:  "Writers on the old server wait, without an error; readers go on. When everything has arrived on the new server the old one is closed for good, by a trigger on every table that refuses writes.",
		back:  "until THE POINT OF NO RETURN (its last step) at once and at no cost: `rollback;` in terminal OLD, then in terminal NEW. After it: no. The new server is the truth then.",
		fails: "before the point of no return: `rollback;` in both terminals, whatever it was; then look for the cause in peace. Behind it: go forward. Never open the old server again while a client may have written to the new one.",
	},
	StageRelease: {
		what:  "The application writes to the new server now. Nothing comes from the old one any more.",
		back:  "no.",
		fails: "the application is not concerned: mend the cause, paste the block again.",
	},
	StageTeardown: {
		what:  "What carried the rows goes. The fence on the old server stays: who still writes there gets an error that says where the database is.",
		back:  "no.",
		fails: "the application is not concerned. **As long as the slot is there the old server keeps its WAL.** When the old server cannot be reached any more its part may be left out.",
	},
	StageFinalize: {
		what:  "Days later, when nobody needs the old server as evidence any more. It takes writes again from then on: switch it off instead, when you can.",
		back:  "no.",
		fails: "the application is not concerned: mend the cause, paste the block again.",
	},
}

// group returns how many steps from the i-th on are one block: neighbours of a batch that differ in nothing but
// their object.
func (s Stage) group(i int) int {
	first, n := s.Steps[i], 1
	if !first.groups() {
		return 1
	}
	for i+n < len(s.Steps) && s.Steps[i+n].groups() && s.Steps[i+n].Batch == first.Batch && s.Steps[i+n].On == first.On {
		n++
	}
	return n
}

func (st Step) groups() bool {
	return st.Batch != "" && st.Probe == "" && st.Undo.IsZero() && st.Do.Call == "" && st.ByHand == "" && len(Statements(st.Do.SQL)) == 1
}

// mdGroup prints several steps as a list of boxes with one block.
func (s Stage) mdGroup(b *bytes.Buffer, number, from, n int) {
	steps := s.Steps[from : from+n]
	fmt.Fprintf(b, "\n### %d.%d to %d.%d: %s\n", number, from+1, number, from+n, mdText(steps[0].Batch))
	fmt.Fprintf(b, "\nIn any order; by several sessions of terminal NEW at a time, if you like. One that fails does not concern the others: go on behind it, and come back to it.\n")
	mdHazards(b, steps[0].Hazards)
	var sql []string
	fmt.Fprintf(b, "\n<details><summary>%s, each with its box</summary>\n", plural(n, "step"))
	for i, st := range steps {
		fmt.Fprintf(b, "\n- [ ] %d.%d %s `%s`", number, from+i+1, mdText(st.Title), mdCode(string(st.ID)))
		if st.Why != "" {
			fmt.Fprintf(b, "; %s", mdText(st.Why))
		}
		fmt.Fprintf(b, ". %s", s.mdMeets(st))
		sql = append(sql, Terminated(st.Do.SQL))
	}
	b.WriteString("\n\n</details>\n")
	mdTyped(b, Typed{In: TerminalOf(steps[0].On), Text: strings.Join(sql, "\n")})
}

// mdBack says what of the way back there is for who types.
func (p Plan) mdBack(b *bytes.Buffer) {
	if !p.HasWayBack() {
		return
	}
	b.WriteString("\n## The way back\n<a id=\"back\"></a>\n\n")
	b.WriteString("**By hand there is none.** `pgleap rollback` goes back to the old server without losing what was written to the new one, from the release until `pgleap finalize`; it needs the slots that pgleap makes within the switch, in an order and within milliseconds that nobody types. Who carries this document out by hand goes back only before THE POINT OF NO RETURN.\n")
}

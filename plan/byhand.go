package plan

import (
	"regexp"
	"strings"
)

// Terminal is where a reader of the runbook types: two sessions of psql that stay open, and a shell.
type Terminal string

// The terminals. A script that is carried out by hand goes from one to the other.
const (
	TerminalOld   Terminal = "OLD"
	TerminalNew   Terminal = "NEW"
	TerminalShell Terminal = "SHELL"
)

// TerminalOf returns the terminal on the side.
func TerminalOf(s Side) Terminal {
	if s == Source {
		return TerminalOld
	}
	return TerminalNew
}

// Typed is a part of a script: it is pasted into one terminal in one go.
type Typed struct {
	In    Terminal
	About string // one line: what it does
	Text  string
}

// typedMark begins a part in the text of a script.
const typedMark = "--@ "

// Script joins parts into a Step.ByHand: each under a comment that says where it is typed and what for. A script
// without parts but with a text is a reason why there is nothing to do by hand.
func Script(parts ...Typed) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(typedMark + string(p.In) + " " + OneLine(p.About) + "\n" + strings.Trim(p.Text, "\n") + "\n")
	}
	return b.String()
}

// NothingByHand returns the Step.ByHand of a step that only pgleap needs, with the reason.
func NothingByHand(why string) string { return "-- " + OneLine(why) }

// typed cuts a script into its parts.
func typed(script string) []Typed {
	var parts []Typed
	for line := range strings.Lines(script) {
		if rest, ok := strings.CutPrefix(line, typedMark); ok {
			in, about, _ := strings.Cut(strings.TrimSpace(rest), " ")
			parts = append(parts, Typed{In: Terminal(in), About: about})
			continue
		}
		if len(parts) > 0 {
			parts[len(parts)-1].Text += line
		}
	}
	for i := range parts {
		parts[i].Text = strings.Trim(parts[i].Text, "\n")
	}
	return parts
}

// byHand returns what a reader types for the step, and where there is nothing to type, why.
func (st Step) byHand() (parts []Typed, nothing string) {
	if parts = typed(st.ByHand); len(parts) > 0 {
		return parts, ""
	}
	if why, ok := strings.CutPrefix(st.ByHand, "-- "); ok {
		return nil, why
	}
	if st.Do.Call != "" || st.Do.SQL == "" || secretMark.MatchString(st.Do.SQL) {
		return nil, ""
	}
	return []Typed{{In: TerminalOf(st.On), Text: inTransaction(st.Do.SQL)}}, ""
}

// secretMark is where pgleap puts a secret in at the last moment: such a statement cannot be typed as it is.
var secretMark = regexp.MustCompile(`\{\{(source_conninfo|target_conninfo|password:[^}]*)\}\}`)

// inTransaction makes SQL one that psql takes: ended by a semicolon, and where it may be several statements, all
// or nothing. Without a transaction psql would go on behind the one that failed when a block is pasted.
func inTransaction(sql string) string {
	if len(Statements(sql)) > 1 {
		return "begin;\n" + Terminated(sql) + "\ncommit;"
	}
	return Terminated(sql)
}

// Terminated ends SQL with a semicolon.
func Terminated(sql string) string {
	sql = strings.TrimRight(sql, " \n")
	if strings.HasSuffix(sql, ";") {
		return sql
	}
	return sql + ";"
}

// DoBlock returns a DO statement of that body.
func DoBlock(body string) string {
	tag := "$pgleap$"
	for strings.Contains(body, tag) { // a name may hold anything
		tag = "$x" + tag[1:]
	}
	return "do " + tag + "\n" + strings.Trim(body, "\n") + "\n" + tag + ";"
}

// AwaitBlock returns a DO statement that waits until a condition holds, and fails with what trouble says when it
// does not within the time, an interval such as "30 s". Each look sees what was committed by then.
func AwaitBlock(condition, interval, trouble string) string {
	return DoBlock(`declare
  deadline timestamptz := clock_timestamp() + interval ` + QuoteLiteral(interval) + `;
begin
  while not (` + condition + `) loop
    if clock_timestamp() > deadline then
      raise exception '%', ` + QuoteLiteral(trouble) + `;
    end if;
    perform pg_sleep(0.02);
  end loop;
end`)
}

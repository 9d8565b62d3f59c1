package plan

import (
	"bytes"
	"fmt"
	"strings"
)

// mdNeeded says what a reader needs, and which blocks are typed.
func (p Plan) mdNeeded(b *bytes.Buffer) {
	fmt.Fprintf(b, `
## What is needed, and how to read this
<a id="needed"></a>

- pg_dump of PostgreSQL %d or newer, psql 14 or newer, and nothing else. pgleap does the same by itself (pgleap sync, pgleap cutover, pgleap finalize) and takes back what fails; this document is for the day on which it may not or cannot. What is begun by hand is ended by hand: pgleap keeps no journal of it.
- The new server, with an empty database of the same encoding and the roles that the old one uses; what stands under "what was found" is mended or accepted.
- A superuser on both servers, or the roles that pgleap check asks for. A direct way to both: no PgBouncer between.
- One folder from which all terminals are opened: files are handed over in it.
- The passwords in ~/.pgpass (one line per server: host:port:database:user:password, mode 0600). No password stands in this document, and none belongs on a command line.

A block under **▶ Terminal OLD** or **▶ Terminal NEW** is pasted there, whole, in the order of this document; one under **▶ A shell** into a third terminal. **Nothing else is typed**: folded away under each step is how to see that it is done, how it is taken back, and what pgleap sends. A step without a question to ask is done when its block ended without an error.

After an error: stop. Type `+"`rollback;`"+` in the terminal that shows it, read "when it fails" of the step and of its stage, mend the cause, and paste the same block again. "deadlock detected" has no cause to mend.
`, p.Target.Version.Major())
}

// mdOpening opens the terminals: the same blocks open one anew that was lost.
func (p Plan) mdOpening(b *bytes.Buffer) {
	if len(p.Stages) == 0 {
		return
	}
	b.WriteString(`
## Open the terminals
<a id="open"></a>

In a shell, in the folder; put your own addresses in. The connection string in SOURCE_CONNINFO is the one by which the NEW SERVER reaches the old one, with the password; the shell does not show it, and neither history nor log keeps it:
`)
	mdBlock(b, "text", fmt.Sprintf(`export OLD=%s
export NEW=%s
read -rs SOURCE_CONNINFO && export SOURCE_CONNINFO
%s`, shellWord(p.Source.conninfo()), shellWord(p.Target.conninfo()), p.Source.conninfo()+" password=… application_name="+p.Run.Object()+
		" keepalives_idle=30 connect_timeout=10 options='-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0'"))
	b.WriteString("\nThen two terminals, both from such a shell, both open to the end (-n: pasted text is taken as it is):\n")
	mdBlock(b, "text", "psql -X -n -d \"$OLD\"    # terminal OLD\npsql -X -n -d \"$NEW\"    # terminal NEW")
	b.WriteString("\n- [ ] each of the two answers with its own name and the right server. Whenever one is opened anew: this block first.\n")
	mdTyped(b, Typed{In: TerminalOld, Text: p.Source.opening(TerminalOld, "")})
	// Apply tries again by itself when it loses a deadlock; a person would have to.
	mdTyped(b, Typed{In: TerminalNew, Text: p.Target.opening(TerminalNew, "\nselect set_config('deadlock_timeout', '10s', false) where current_setting('is_superuser') = 'on';")})
}

// opening makes a session of psql one that stops at errors, is not ended by a timeout, and is the right one.
func (f Facts) opening(t Terminal, further string) string {
	return `\set ON_ERROR_STOP on
\pset pager off
\set PROMPT1 '` + string(t) + ` %/%R%x%# '
set client_encoding = 'UTF8';
set search_path = pg_catalog;
set statement_timeout = 0;
set lock_timeout = 0;
set idle_in_transaction_session_timeout = 0;
set default_transaction_read_only = off;` + further + `
` + DoBlock(`begin
  if (select system_identifier::text from pg_control_system()) <> `+QuoteLiteral(f.SystemID)+` or current_database() <> `+QuoteLiteral(f.Database)+` then
    raise exception 'this is not the `+strings.ToLower(string(t))+` server of this document, or not its database';
  end if;
end`) + `
select '` + string(t) + `' as terminal, current_database() as database, version();`
}

// conninfo is the address as libpq's keywords, without a password.
func (f Facts) conninfo() string {
	host, port := f.Address, ""
	if i := strings.LastIndex(f.Address, ":"); i >= 0 {
		host, port = f.Address[:i], f.Address[i+1:]
	}
	var words []string
	for _, w := range [][2]string{{"host", host}, {"port", port}, {"dbname", f.Database}, {"user", f.User}} {
		if w[1] != "" {
			words = append(words, w[0]+"="+conninfoValue(w[1]))
		}
	}
	return strings.Join(words, " ")
}

const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:"

func conninfoValue(s string) string {
	s = OneLine(s)
	if strings.Trim(s, plainWord) == "" {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

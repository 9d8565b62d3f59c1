package schema

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Section says whether an entry stands before or after the rows.
type Section string

// Pre holds what rows need to be stored: types, functions, tables, defaults. Post holds what is cheaper, or
// only right, once they are there: indexes, constraints, triggers, rules, policies, privileges.
const (
	Pre  Section = "pre"
	Post Section = "post"
)

// Entry is one object of pg_dump's table of contents.
type Entry struct {
	Name    string // as pg_dump's header has it: "orders orders_pkey" for a constraint; line ends are blanks
	Type    string // "TABLE", "FK CONSTRAINT", "COMMENT", …
	Schema  string // "" for what lives in none
	Owner   string
	SQL     string // the statements; they stand for themselves, no SET of another entry is needed
	Section Section
	Chosen  bool // an index that is to identify rows, although the dump does not say so: see Choose
}

var header = regexp.MustCompile(`^-- (?:Data for |Statistics for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*?)(?:; Tablespace: .*)?$`)

// Parse cuts the plain output of pg_dump (10 to 18) into its entries. A header counts only outside of strings,
// identifiers and bodies. Entries that say nothing, and the comment on extension plpgsql, which only a
// superuser may set, are left out. It refuses an encoding other than UTF8 and escapes in plain strings.
func Parse(r io.Reader) ([]Entry, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	text := string(raw)
	cut := cuts(text)
	if len(cut) == 0 {
		cut = []cutAt{{start: len(text), end: len(text)}}
	}
	state := newDumpState()
	if err := state.preamble(text[:cut[0].start]); err != nil {
		return nil, err
	}
	var entries []Entry
	section := Pre
	for i, c := range cut {
		if c.header == nil {
			break
		}
		end := len(text)
		if i+1 < len(cut) {
			end = cut[i+1].start
		}
		e := Entry{Name: c.header[1], Type: c.header[2], Schema: c.header[3], Owner: c.header[4]}
		if e.Schema == "-" {
			e.Schema = ""
		}
		if slices.Contains(postTypes, e.Type) {
			section = Post
		}
		e.Section = section
		if e.SQL, err = state.body(text[c.end:end], e.Type); err != nil {
			return nil, fmt.Errorf("%s: %w", e.label(), err)
		}
		if e.SQL != "" && !isPlpgsqlComment(e) {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// postTypes are what pg_dump writes behind its post-data boundary; whatever follows the first of them, a view
// over a primary key or a comment, belongs there too.
var postTypes = strings.Split("CONSTRAINT,CHECK CONSTRAINT,FK CONSTRAINT,INDEX,INDEX ATTACH,STATISTICS,TRIGGER,RULE,POLICY,"+
	"ROW SECURITY,EVENT TRIGGER,ACL,DEFAULT ACL,MATERIALIZED VIEW DATA", ",")

func isPlpgsqlComment(e Entry) bool { return e.Type == "COMMENT" && e.Name == "EXTENSION plpgsql" }

// cutAt is where an entry's header stands, and what it says.
type cutAt struct {
	start, end int
	header     []string
}

// longestHeader bounds what is looked at for a header: names of 63 bytes, and a function's arguments, up to a hundred.
const longestHeader = 1 << 14

// cuts finds the headers: three comments on lines of their own, the first and the last one empty.
func cuts(text string) []cutAt {
	var found []cutAt
	var t token
	for at := 0; at < len(text); at = t.end {
		t = scan(text, at)
		lineStart := t.start == 0 || text[t.start-1] == '\n'
		if t.kind != tokenComment || !lineStart || text[t.start:t.end] != "--" {
			continue
		}
		lines := strings.SplitN(text[t.start:min(len(text), t.start+longestHeader)], "\n", 4)
		if len(lines) < 3 || lines[2] != "--" {
			continue
		}
		if m := header.FindStringSubmatch(lines[1]); m != nil {
			t.end += len(lines[1]) + len("\n\n--")
			found = append(found, cutAt{t.start, t.end, m})
		}
	}
	return found
}

// dumpState follows the settings that pg_dump changes between entries and that hold for all that follow.
type dumpState struct{ settings map[string]string }

func newDumpState() *dumpState { return &dumpState{settings: map[string]string{}} }

// harmless are the values that SessionSettings sets already.
var harmless = map[string]string{
	"default_tablespace":          "''",
	"default_table_access_method": "heap",
	"default_with_oids":           "false",
}

// concerns says which entries a setting can change.
var concerns = map[string][]string{
	"default_tablespace":          {"TABLE", "MATERIALIZED VIEW", "INDEX", "CONSTRAINT"},
	"default_table_access_method": {"TABLE", "MATERIALIZED VIEW"},
	"default_with_oids":           {"TABLE"},
}

var setting = regexp.MustCompile(`^SET (default_tablespace|default_table_access_method|default_with_oids) = (.*);$`)

// preamble holds settings of the session, which are SessionSettings' business, but two must be as expected.
func (d *dumpState) preamble(text string) error {
	for _, line := range strings.Split(text, "\n") {
		if m := setting.FindStringSubmatch(line); m != nil {
			d.settings[m[1]] = m[2]
		}
		if strings.HasPrefix(line, "SET client_encoding = ") && line != "SET client_encoding = 'UTF8';" {
			return fmt.Errorf("the dump is not in UTF8: %s", line)
		}
		if line == "SET standard_conforming_strings = off;" {
			return errors.New("the dump's strings have escapes: standard_conforming_strings is off")
		}
	}
	return nil
}

// body takes comments and settings out of an entry's text, and puts the settings that hold for the entry, where
// they are not the session's own, around its statements.
func (d *dumpState) body(text, entryType string) (string, error) {
	before, after := d.around(entryType)
	if plain(text) {
		sql := strings.TrimSpace(text)
		if sql == "" {
			return "", nil
		}
		return before + publicSchema(sql) + after, nil
	}
	var b strings.Builder
	list := tokens(text)
	for i := 0; i < len(list); i++ {
		t := list[i]
		piece := text[t.start:t.end]
		lineStart := t.start == 0 || text[t.start-1] == '\n'
		switch {
		case t.kind == tokenMeta && (strings.HasPrefix(piece, `\restrict `) || strings.HasPrefix(piece, `\unrestrict `)):
		case t.kind == tokenMeta:
			return "", fmt.Errorf("a psql command that is not known: %s", piece)
		case t.kind == tokenComment && lineStart && strings.HasPrefix(piece, "--"):
		case t.kind == tokenWord && lineStart && setting.MatchString(firstLine(text[t.start:])):
			line := firstLine(text[t.start:])
			m := setting.FindStringSubmatch(line)
			d.settings[m[1]] = m[2]
			for i+1 < len(list) && list[i+1].start < t.start+len(line) {
				i++
			}
		default:
			b.WriteString(piece)
		}
	}
	sql := strings.TrimSpace(b.String())
	if sql == "" {
		return "", nil
	}
	return before + publicSchema(sql) + after, nil
}

// plain tells at a glance a text that is nothing but statements; most are, of very many.
func plain(text string) bool {
	for _, line := range []string{"--", `\`, "SET default_"} {
		if strings.HasPrefix(text, line) || strings.Contains(text, "\n"+line) {
			return false
		}
	}
	return true
}

// around returns the statements that set, and set back, what differs from the session's settings.
func (d *dumpState) around(entryType string) (before, after string) {
	for _, name := range []string{"default_tablespace", "default_table_access_method", "default_with_oids"} {
		value, ok := d.settings[name]
		if ok && value != harmless[name] && slices.Contains(concerns[name], entryType) {
			before += fmt.Sprintf("SET %s = %s;\n", name, value)
			after += fmt.Sprintf("\nSET %s = %s;", name, harmless[name])
		}
	}
	return before, after
}

// publicSchema: every database has a schema public from the start.
func publicSchema(sql string) string {
	const create = "CREATE SCHEMA public;"
	if strings.HasPrefix(sql, create) {
		return "CREATE SCHEMA IF NOT EXISTS public;" + sql[len(create):]
	}
	return sql
}

func firstLine(s string) string { return s[:lineLength(s)] }

var typeAndName = regexp.MustCompile(`^([A-Z]+(?: [A-Z]+)*) (.*)$`)

// label names the entry in one line, such as "TABLE public.orders" or "COMMENT on TABLE public.orders".
func (e Entry) label() string {
	name := strings.NewReplacer("\n", " ", "\r", " ").Replace(e.Name)
	prefix := ""
	if e.Schema != "" {
		prefix = e.Schema + "."
	}
	switch e.Type {
	case "COMMENT", "ACL", "SECURITY LABEL":
		// pg_dump quotes upper-case names in these headers, so what is in capitals is the kind of object.
		if m := typeAndName.FindStringSubmatch(name); m != nil {
			return e.Type + " on " + m[1] + " " + prefix + m[2]
		}
	}
	return e.Type + " " + prefix + name
}

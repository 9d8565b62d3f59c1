package schema

import "strings"

// asIndex cuts a primary key or unique constraint in two: the unique index, which takes the time, and the constraint that
// uses it, which takes none. By itself ALTER TABLE locks the table against every other index build for as long as it
// builds. What is no plain key (an exclusion, WITHOUT OVERLAPS, a tablespace of its own) stays as it is.
func asIndex(e Entry) (index, constraint Entry, ok bool) {
	list := statements(e.SQL)
	if e.Type != "CONSTRAINT" || len(list) == 0 {
		return e, e, false
	}
	k, ok := parseKey(e.SQL[list[0].start:list[0].end])
	if !ok {
		return e, e, false
	}
	index, constraint = e, e
	index.Type, index.Name = "INDEX", strings.TrimPrefix(e.Name, tableOf(e).Name+" ")
	index.SQL = "CREATE UNIQUE INDEX " + k.name + " ON " + k.table + " USING btree " + k.columns + k.include + k.nulls + k.with + ";"
	constraint.SQL = "ALTER TABLE ONLY " + k.table + "\n    ADD CONSTRAINT " + k.name + " " + k.kind + " USING INDEX " + k.name + k.deferrable + e.SQL[list[0].end:]
	return index, constraint, true
}

// key is what ALTER TABLE ONLY table ADD CONSTRAINT name kind (columns) … says, each part as it stands there.
type key struct{ table, name, kind, nulls, columns, include, with, deferrable string }

func parseKey(statement string) (k key, ok bool) {
	r := &keyReader{text: statement}
	for _, t := range tokens(statement) {
		if t.kind != tokenSpace && t.kind != tokenComment {
			r.list = append(r.list, t)
		}
	}
	if !r.take("ALTER", "TABLE", "ONLY") {
		return k, false
	}
	k.table = r.until("ADD")
	if !r.take("ADD", "CONSTRAINT") || len(r.list) == 0 {
		return k, false
	}
	k.name = r.word()
	switch {
	case r.take("PRIMARY", "KEY"):
		k.kind = "PRIMARY KEY"
	case r.take("UNIQUE"):
		k.kind = "UNIQUE"
		if r.take("NULLS", "NOT", "DISTINCT") {
			k.nulls = " NULLS NOT DISTINCT"
		}
	default:
		return k, false
	}
	if k.columns = r.parens(); k.columns == "" || hasWords(words(k.columns), "WITHOUT", "OVERLAPS") {
		return k, false
	}
	if r.take("INCLUDE") {
		k.include = " INCLUDE " + r.parens()
	}
	if r.take("WITH") {
		k.with = " WITH " + r.parens()
	}
	if r.take("DEFERRABLE") {
		k.deferrable = " DEFERRABLE"
		if r.take("INITIALLY", "DEFERRED") {
			k.deferrable += " INITIALLY DEFERRED"
		}
	}
	return k, len(r.list) == 0
}

// keyReader takes one piece of a statement after the other.
type keyReader struct {
	text string
	list []token
}

func (r *keyReader) at(i int) string { return r.text[r.list[i].start:r.list[i].end] }

// take passes over the keywords, if they come next.
func (r *keyReader) take(keywords ...string) bool {
	for i, w := range keywords {
		if i >= len(r.list) || !strings.EqualFold(r.at(i), w) {
			return false
		}
	}
	r.list = r.list[len(keywords):]
	return true
}

func (r *keyReader) word() string {
	w := r.at(0)
	r.list = r.list[1:]
	return w
}

// until returns the text before the keyword.
func (r *keyReader) until(keyword string) string {
	from := r.list
	for len(r.list) > 0 && !strings.EqualFold(r.at(0), keyword) {
		r.list = r.list[1:]
	}
	if n := len(from) - len(r.list); n > 0 {
		return r.text[from[0].start:from[n-1].end]
	}
	return ""
}

// parens returns the text of the parentheses that come next, with them.
func (r *keyReader) parens() string {
	if len(r.list) == 0 || r.at(0) != "(" {
		return ""
	}
	from, depth := r.list[0].start, 0
	for len(r.list) > 0 {
		end := r.list[0].end
		switch r.word() {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 {
			return r.text[from:end]
		}
	}
	return ""
}

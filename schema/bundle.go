package schema

import (
	"slices"
	"strings"

	"pgleap/plan"
)

// graph says which entries of a dump belong together. It goes by the names that stand in the statements, which
// pg_dump qualifies all: a name too many only ties more together than must be.
type graph struct {
	entries []Entry
	of      []int // entry → bundle
	bundles []bundle
	names   map[plan.Name]place // a schema's own name has no schema
	moved   map[int]int         // a sequence's bundle → its table's
}

// bundle is an object with all that is said of it: a table with its sequences, defaults, constraints, indexes,
// triggers, privileges and comments, or a function with its variants.
type bundle struct {
	name    plan.Name
	entries []int
	named   int   // how many names it defines
	needs   []int // other bundles, in the order in which it first names them
}

// place is where a name is defined.
type place struct{ bundle, number int }

func newGraph(entries []Entry) *graph {
	g := &graph{entries: entries, of: make([]int, len(entries)), names: make(map[plan.Name]place, len(entries)), moved: map[int]int{}}
	for i, e := range entries {
		g.of[i] = g.place(e)
	}
	for i, b := range g.of {
		if into, ok := g.moved[b]; ok {
			b, g.of[i] = into, into
		}
		g.bundles[b].entries = append(g.bundles[b].entries, i)
	}
	return g
}

// creators make an object of the name that stands first in their statement, and there may be many alike.
// sayers say something of an object that is there. All the others are few, and stand for themselves.
var (
	creators = strings.Split("TABLE,FOREIGN TABLE,VIEW,MATERIALIZED VIEW,SEQUENCE,TYPE,SHELL TYPE,DOMAIN,FUNCTION,PROCEDURE,AGGREGATE,SCHEMA", ",")
	sayers   = strings.Split("CONSTRAINT,CHECK CONSTRAINT,FK CONSTRAINT,INDEX,INDEX ATTACH,TABLE ATTACH,DEFAULT,TRIGGER,RULE,POLICY,ROW SECURITY,"+
		"STATISTICS,ACL,DEFAULT ACL,COMMENT,SECURITY LABEL,MATERIALIZED VIEW DATA", ",")
)

// place finds the entry's bundle, or makes one, and notes the names that the entry defines.
func (g *graph) place(e Entry) int {
	if e.Type == "SCHEMA" {
		return g.define(plan.Name{Name: e.Name})
	}
	pairs := qualified(e.SQL)
	switch {
	case e.Type == "SEQUENCE OWNED BY" && len(pairs) > 1:
		return g.merge(pairs[0], pairs[1])
	case slices.Contains(sayers, e.Type):
		return g.said(e, pairs)
	case slices.Contains(creators, e.Type) && len(pairs) > 0:
		at, ok := g.firstKnown(pairs[:1])
		if !ok || strings.HasPrefix(e.SQL, "CREATE") {
			return g.define(pairs[0])
		}
		g.add(plan.Name{Schema: e.Schema, Name: e.Name}, at) // an identity column's sequence
		return at
	}
	return g.alone(e, pairs)
}

// said finds the bundle of an entry that says something of an object.
func (g *graph) said(e Entry, pairs []plan.Name) int {
	if (e.Type == "TABLE ATTACH" || e.Type == "INDEX ATTACH") && len(pairs) > 1 {
		pairs = pairs[1:] // it is the partition that can be left out
	}
	at, ok := g.firstKnown(pairs)
	if name, found := strings.CutPrefix(e.Name, "SCHEMA "); !ok && found {
		at, ok = g.firstKnown([]plan.Name{{Name: name}})
	}
	if !ok && e.Type == "DEFAULT ACL" && e.Schema != "" {
		at, ok = g.firstKnown([]plan.Name{{Name: e.Schema}})
	}
	if !ok {
		return g.alone(e, pairs)
	}
	if e.Type == "INDEX" || e.Type == "CONSTRAINT" {
		g.add(plan.Name{Schema: e.Schema, Name: g.ownName(e, at)}, at)
	}
	return at
}

// alone makes a bundle of its own, known by its statement's first name where that one is new.
func (g *graph) alone(e Entry, pairs []plan.Name) int {
	if len(pairs) > 0 && pairs[0].Schema == e.Schema {
		if _, known := g.names[pairs[0]]; !known {
			return g.define(pairs[0])
		}
	}
	return g.define(plan.Name{Schema: e.Schema, Name: e.Type + " " + e.Name})
}

func (g *graph) define(name plan.Name) int {
	if at, ok := g.names[name]; ok {
		return at.bundle
	}
	g.bundles = append(g.bundles, bundle{name: name})
	at := len(g.bundles) - 1
	g.add(name, at)
	return at
}

func (g *graph) add(name plan.Name, at int) {
	if _, ok := g.names[name]; !ok {
		g.names[name] = place{at, g.bundles[at].named}
		g.bundles[at].named++
	}
}

// merge puts a sequence's bundle into its table's.
func (g *graph) merge(sequence, table plan.Name) int {
	from, into := g.define(sequence), g.define(table)
	if from != into {
		g.moved[from] = into
		delete(g.names, sequence)
		g.add(sequence, into)
	}
	return into
}

func (g *graph) firstKnown(pairs []plan.Name) (int, bool) {
	for _, p := range pairs {
		if at, ok := g.names[p]; ok {
			return at.bundle, true
		}
	}
	return 0, false
}

// ownName is the entry's own name, without that of its table: pg_dump's header says "orders orders_pkey".
func (g *graph) ownName(e Entry, at int) string {
	return strings.TrimPrefix(e.Name, g.bundles[at].name.Name+" ")
}

// enough names are asked for of a statement's beginning.
const enough = 4

// qualified returns the first names of the form schema.name outside of strings.
func qualified(sql string) []plan.Name {
	var out []plan.Name
	var before [2]string // the two tokens before this one
	for at := 0; at < len(sql) && len(out) < enough; {
		t := scan(sql, at)
		at = t.end
		if t.kind == tokenSpace || t.kind == tokenComment || t.kind == tokenMeta {
			continue
		}
		word := sql[t.start:t.end]
		if before[1] == "." && isName(before[0]) && isName(word) {
			out = append(out, plan.Name{Schema: unquote(before[0]), Name: unquote(word)})
			word = "" // schema.table.column holds one name
		}
		before = [2]string{before[1], word}
	}
	return out
}

func isName(word string) bool { return word != "" && (word[0] == '"' || isWordStart(word[0])) }

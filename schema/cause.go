package schema

import (
	"regexp"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// attribute finds which refusals only follow from others: the server says that it does not know something, and it
// is something that was refused before.
func attribute(entries []Entry, refused []Refusal) {
	c := causes{first: map[string]int{}, entry: map[entryKey]int{}, defined: map[string]bool{}}
	if len(refused) == 0 {
		return
	}
	g := newGraph(entries)
	for name := range g.names {
		c.defined[spelled(name)] = true
	}
	for i := range refused {
		r := &refused[i]
		if r.Follows = c.of(*r); r.Follows >= 0 {
			if up := refused[r.Follows].Follows; up >= 0 {
				r.Follows = up
			}
		}
		c.add(g, i, *r)
	}
}

// causes knows the refusals so far by the names that a later message would have for what they took away.
type causes struct {
	first      map[string]int
	entry      map[entryKey]int
	defined    map[string]bool // every name of the dump
	extensions []extensionCause
	operators  []operatorCause
}

type operatorCause struct {
	use   string // as pg_dump writes it
	index int
}

const syntaxError = "42601"

type extensionCause struct {
	schema string
	index  int
}

// unknown are the codes that say that something is not there, and 42830 that a foreign key lacks its unique key.
var unknown = []string{"42P01", "42883", pg.CodeUndefined, "3F000", "42703", "42830", "42P17", "55000"}

var (
	mentioned = regexp.MustCompile(`"((?:[^"]|"")*)"`)
	called    = regexp.MustCompile(`^(?:function|aggregate|procedure|routine) (.+?)\(`)
	operator  = regexp.MustCompile(`^operator does not exist: .*?(?:[^ .]+\.)?([-+*/<>=~!@#%^&|` + "`" + `?]+)`)
	keyNamed  = regexp.MustCompile(`^there is no unique constraint matching given keys for referenced table "(.*)"`)
	roleNamed = regexp.MustCompile(`^must be (?:able to SET ROLE|member of role) "(.*)"`)
)

// of returns the refusal that r follows from, or -1.
func (c *causes) of(r Refusal) int {
	if i, ok := c.entry[r.Entry.key()]; ok {
		return i // the rest of an entry whose object was refused
	}
	if m := roleNamed.FindStringSubmatch(r.Message); m != nil {
		return c.seen("role " + m[1])
	}
	if r.Code == syntaxError { // a postfix operator is one where it is used
		for _, o := range c.operators {
			if strings.Contains(r.SQL, o.use) {
				return o.index
			}
		}
	}
	if !slices.Contains(unknown, r.Code) {
		return -1
	}
	if m := keyNamed.FindStringSubmatch(r.Message); m != nil {
		return c.seen("key of " + m[1])
	}
	for _, name := range namesIn(r.Message) {
		if i := c.seen(name); i >= 0 {
			return i
		}
		if schema, _, ok := strings.Cut(name, "."); ok && !c.defined[name] {
			for _, e := range c.extensions {
				if e.schema == schema {
					return e.index
				}
			}
		}
	}
	return -1
}

func (c *causes) seen(name string) int {
	if i, ok := c.first[name]; ok {
		return i
	}
	return -1
}

// namesIn are the names in a message, as it spells them.
func namesIn(message string) []string {
	message, _, _ = strings.Cut(message, " hint: ")
	var out []string
	for _, pattern := range []*regexp.Regexp{called, operator} {
		if m := pattern.FindStringSubmatch(message); m != nil {
			out = append(out, strings.ReplaceAll(m[1], `"`, ""))
		}
	}
	for _, m := range mentioned.FindAllStringSubmatch(message, -1) {
		out = append(out, strings.ReplaceAll(strings.TrimSuffix(m[1], "[]"), `"`, ""))
	}
	return out
}

// add notes what is missing from now on.
func (c *causes) add(g *graph, i int, r Refusal) {
	root := i
	if r.Follows >= 0 {
		root = r.Follows
	}
	note := func(name string) {
		if _, ok := c.first[name]; !ok {
			c.first[name] = root
		}
	}
	if _, ok := c.entry[r.Entry.key()]; !ok && strings.HasPrefix(r.SQL, "CREATE ") {
		c.entry[r.Entry.key()] = root
	}
	if m := roleNamed.FindStringSubmatch(r.Message); m != nil {
		note("role " + m[1])
		return
	}
	if strings.HasPrefix(r.SQL, "ALTER ") && slices.Contains(creators, r.Entry.Type) {
		return // the object is there
	}
	switch r.Entry.Type {
	case "COMMENT", "ACL", "SECURITY LABEL", "DEFAULT", "SEQUENCE OWNED BY", fillingType:
	case "OPERATOR":
		note(r.Entry.Name)
		c.operators = append(c.operators, operatorCause{"OPERATOR(" + plan.QuoteIdent(r.Entry.Schema) + "." + r.Entry.Name + ")", root})
	case "SCHEMA", "SERVER", "FOREIGN DATA WRAPPER", "PROCEDURAL LANGUAGE", "ACCESS METHOD":
		note(r.Entry.Name)
	case "EXTENSION":
		note(r.Entry.Name)
		c.extensions = append(c.extensions, extensionCause{extensionSchema(r.SQL), root})
	case "INDEX", "CONSTRAINT", "TRIGGER", "RULE", "POLICY", "FK CONSTRAINT", "CHECK CONSTRAINT":
		at, _ := g.firstKnown(qualified(r.Entry.SQL))
		own := g.ownName(r.Entry, at)
		note(own)
		note(spelled(plan.Name{Schema: r.Entry.Schema, Name: own}))
		if r.Entry.Type == "CONSTRAINT" {
			note("key of " + g.bundles[at].name.Name)
		}
	default:
		if pairs := qualified(r.Entry.SQL); len(pairs) > 0 {
			note(spelled(pairs[0]))
		}
	}
}

// spelled is a name as a message has it, without quotes.
func spelled(n plan.Name) string { return strings.ReplaceAll(n.Schema+"."+n.Name, `"`, "") }

// extensionSchema reads CREATE EXTENSION … WITH SCHEMA name.
func extensionSchema(sql string) string {
	w := words(sql)
	if at := indexWords(w, "WITH", "SCHEMA"); at >= 0 && at+2 < len(w) {
		return unquote(w[at+2])
	}
	return ""
}

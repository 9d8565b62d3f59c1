package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Selection is what of the source's database belongs to the upgrade.
type Selection struct {
	Published []Relation // ordinary tables and leaves, permanent: rows go through the publication
	Roots     []Relation // partitioned roots at every level: they hold no rows, but are fenced and analyzed
	Copied    []Relation // cannot be published: rows are copied in the switch; fenced (Options.CopyInSwitch)
	Unlogged  []Relation // fenced; definitions go, rows only if they are copied in the switch
	MatViews  []Relation // in the order in which they can be refreshed
	Sequences []Sequence
	Excluded  []Name   // relations of any kind that the dump leaves out by name
	Schemas   []string // schemas that the dump leaves out whole
}

// Fenced returns every table that nobody may change any more after the switch: published tables, their
// roots, tables that are copied in the switch, and unlogged tables.
func (s Selection) Fenced() []Relation {
	out := append([]Relation{}, s.Published...)
	out = append(out, s.Roots...)
	out = append(out, s.Copied...)
	return append(out, s.Unlogged...)
}

// Select says which of the source's relations belong to the upgrade. A schema pattern and a table pattern
// both narrow; an exclusion wins. Views follow only their schema and the exclusions: a view can be made
// whenever the tables it reads are there. What cannot stand alone is an error of KindUsage.
func Select(f Facts, o Options) (Selection, error) {
	c, err := newChooser(f, o)
	if err != nil {
		return Selection{}, err
	}
	if err := c.consistent(f.Relations); err != nil {
		return Selection{}, err
	}
	s := Selection{Schemas: c.schemasLeftOut(f)}
	copied := c.copied(f, o)
	for _, r := range f.Relations {
		if r.Extension != "" {
			continue // comes with its extension
		}
		if !c.kept[r.Name] {
			if !slices.Contains(s.Schemas, r.Name.Schema) {
				s.Excluded = append(s.Excluded, r.Name)
			}
			continue
		}
		switch {
		case copied[r.Name]:
			s.Copied = append(s.Copied, r)
		case r.Published():
			s.Published = append(s.Published, r)
		case r.IsTable():
			s.Unlogged = append(s.Unlogged, r)
		case r.Kind == "p":
			s.Roots = append(s.Roots, r)
		case r.Kind == "m":
			s.MatViews = append(s.MatViews, r)
		}
	}
	slices.SortStableFunc(s.MatViews, func(a, b Relation) int { return a.Depth - b.Depth })
	for _, q := range f.Sequences {
		switch {
		case q.Extension != "":
		case c.keepsSequence(q):
			s.Sequences = append(s.Sequences, q)
		case !slices.Contains(s.Schemas, q.Name.Schema):
			s.Excluded = append(s.Excluded, q.Name)
		}
	}
	return s, nil
}

// chooser holds the decision about every relation.
type chooser struct {
	schemas map[string]bool // chosen schemas
	kept    map[Name]bool
}

func newChooser(f Facts, o Options) (chooser, error) {
	c := chooser{schemas: map[string]bool{}, kept: map[Name]bool{}}
	if err := c.chooseSchemas(f, o); err != nil {
		return c, err
	}
	var candidates []Relation
	for _, r := range f.Relations {
		switch {
		case r.Extension != "":
			c.kept[r.Name] = true // there once its extension is
		case c.schemas[r.Name.Schema]:
			candidates = append(candidates, r)
		}
	}
	wanted, err := matches("--tables", o.Tables, candidates)
	if err != nil {
		return c, err
	}
	unwanted, err := matches("--exclude-tables", o.ExcludeTables, candidates)
	if err != nil {
		return c, err
	}
	for _, r := range candidates {
		view := r.Kind == "v" || r.Kind == "m"
		in := len(o.Tables) == 0 || view || wanted[r.Name] || r.Root != nil && wanted[*r.Root]
		out := unwanted[r.Name] || r.Root != nil && unwanted[*r.Root]
		c.kept[r.Name] = in && !out
	}
	return c, nil
}

func (c chooser) chooseSchemas(f Facts, o Options) error {
	patterns, err := parsePatterns("--schemas", o.Schemas, 1)
	if err != nil {
		return err
	}
	for _, s := range f.Schemas {
		c.schemas[s] = len(patterns) == 0
	}
	for _, p := range patterns {
		found := false
		for _, s := range f.Schemas {
			if p.name.match(s) {
				c.schemas[s], found = true, true
			}
		}
		if !found {
			return Fail(KindUsage, "see the schemas with \\dn in psql", "--schemas %s matches no schema of %s", p.text, f.Database)
		}
	}
	return nil
}

// schemasLeftOut returns the schemas that the dump can leave out whole: not one that an extension needs.
func (c chooser) schemasLeftOut(f Facts) []string {
	var out []string
	for _, s := range f.Schemas {
		needed := slices.ContainsFunc(f.Extensions, func(e Extension) bool { return e.Schema == s })
		if !c.schemas[s] && !needed {
			out = append(out, s)
		}
	}
	return out
}

func (c chooser) keepsSequence(q Sequence) bool {
	if q.OwnedBy != nil {
		return c.kept[*q.OwnedBy]
	}
	return c.schemas[q.Name.Schema]
}

// consistent refuses to tear a partition tree or an inheritance tree apart: a child cannot be made without
// its parents, and a root without one of its leaves would lose rows.
func (c chooser) consistent(relations []Relation) error {
	for _, r := range relations {
		if r.Root != nil && c.kept[r.Name] != c.kept[*r.Root] {
			have, miss := "selected", "left out"
			if !c.kept[r.Name] {
				have, miss = miss, have
			}
			return Fail(KindUsage, "select or exclude the whole tree by its root: "+r.Root.String(),
				"%s is %s, but %s, which it is a partition of, is %s", r.Name, have, r.Root, miss)
		}
		for _, p := range r.Parents {
			if c.kept[r.Name] && !c.kept[p] {
				return Fail(KindUsage, fmt.Sprintf("select %s too, or exclude %s", p, r.Name),
					"%s is selected, but %s, which it inherits from, is left out", r.Name, p)
			}
		}
	}
	return nil
}

// matches returns the relations that any of the patterns names; a pattern that names none is an error.
func matches(flag string, texts []string, relations []Relation) (map[Name]bool, error) {
	patterns, err := parsePatterns(flag, texts, 2)
	if err != nil {
		return nil, err
	}
	out := map[Name]bool{}
	for _, p := range patterns {
		found := false
		for _, r := range relations {
			if p.name.match(r.Name.Name) && (p.schema == nil || p.schema.match(r.Name.Schema)) {
				out[r.Name], found = true, true
			}
		}
		if !found {
			return nil, Fail(KindUsage, `check the spelling; a name with upper-case letters or dots needs double quotes, as in 'public."Order"'`,
				"%s %s matches no table of the selected schemas", flag, p.text)
		}
	}
	return out, nil
}

// pattern is what an operator writes: a name with or without its schema.
type pattern struct {
	text   string
	schema glob // nil: any schema
	name   glob
}

// parsePatterns reads patterns as psql does: names fold to lower case, except in double quotes; * and ?
// outside quotes stand for any text and for any character. A text may hold several, with commas between.
func parsePatterns(flag string, texts []string, parts int) ([]pattern, error) {
	var out []pattern
	for _, text := range texts {
		for _, item := range splitOutsideQuotes(text, ',') {
			globs, err := parseName(item)
			if err == nil && len(globs) > parts {
				err = fmt.Errorf("%d names with dots between, where %d can stand", len(globs), parts)
			}
			if err != nil {
				return nil, Fail(KindUsage, `write table, schema.table or "Schema"."Table"; * and ? are wildcards outside quotes`,
					"%s %s: %w", flag, item, err)
			}
			p := pattern{text: strings.TrimSpace(item), name: globs[len(globs)-1]}
			if len(globs) == 2 {
				p.schema = globs[0]
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func parseName(text string) ([]glob, error) {
	var out []glob
	for _, part := range splitOutsideQuotes(strings.TrimSpace(text), '.') {
		g, err := parseGlob(part)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// splitOutsideQuotes cuts text at every separator that does not stand in double quotes.
func splitOutsideQuotes(text string, separator rune) []string {
	var out []string
	quoted, start := false, 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted // a doubled quote toggles twice
		case c == separator && !quoted:
			out = append(out, text[start:i])
			start = i + 1
		}
	}
	return append(out, text[start:])
}

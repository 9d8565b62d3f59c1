package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"strings"

	"pgleap/internal/catalog"
	"pgleap/plan"
)

// Sample is a part of the definitions that can be loaded by itself: one of each shape, with all it needs.
type Sample struct {
	Entries []Entry
	names   map[plan.Name]bool
}

// SampleOf chooses the first of all bundles of the same shape, and what those that are chosen need. Two bundles have
// the same shape when their statements are the same but for their own names, and what they need has the same shapes,
// in turn. The same definitions always give the same sample.
func SampleOf(entries []Entry) Sample {
	g := newGraph(entries)
	shapes := g.shapes()
	seen := map[shape]bool{}
	chosen := make([]bool, len(g.bundles))
	for i, b := range g.bundles {
		if len(b.entries) > 0 && (!g.repeats(b) || !seen[shapes[i]]) {
			seen[shapes[i]] = true
			g.choose(chosen, i)
		}
	}
	s := Sample{names: map[plan.Name]bool{}}
	for i, e := range entries {
		if chosen[g.of[i]] {
			s.Entries = append(s.Entries, e)
		}
	}
	for name, at := range g.names {
		if chosen[at.bundle] {
			s.names[name] = true
		}
	}
	return s
}

// choose takes a bundle and what it needs.
func (g *graph) choose(chosen []bool, b int) {
	if chosen[b] {
		return
	}
	chosen[b] = true
	for _, n := range g.bundles[b].needs {
		g.choose(chosen, n)
	}
}

// repeats tells whether a bundle like another one may be left out. Casts, operators, extensions and their kin
// are few, and take part in what others do without being named.
func (g *graph) repeats(b bundle) bool {
	return slices.Contains(creators, g.entries[b.entries[0]].Type)
}

type shape [sha256.Size]byte

// shapes hashes every bundle: first its own text, then, until no two more come apart, with the shapes of those
// it needs. It fills in what they need.
func (g *graph) shapes() []shape {
	now := make([]shape, len(g.bundles))
	for i := range g.bundles {
		now[i] = g.textShape(i)
	}
	for before, count := 0, distinct(now); count != before; {
		next := make([]shape, len(now))
		for i, b := range g.bundles {
			h := sha256.New()
			h.Write(now[i][:])
			for _, n := range b.needs {
				h.Write(now[n][:])
			}
			h.Sum(next[i][:0])
		}
		now = next
		before, count = count, distinct(now)
	}
	return now
}

func distinct(list []shape) int {
	seen := make(map[shape]bool, len(list))
	for _, s := range list {
		seen[s] = true
	}
	return len(seen)
}

// textShape hashes the statements of a bundle, with marks in place of its own names and of the others it names.
func (g *graph) textShape(b int) shape {
	r := shapeReader{g: g, b: b, h: sha256.New(), needs: map[int]int{}, own: map[int]int{}}
	for _, i := range g.bundles[b].entries {
		e := g.entries[i]
		r.name = g.ownName(e, b)
		r.mark('E')
		r.h.Write([]byte(e.Type))
		r.schema(e)
		r.text(e.SQL, e.Type)
	}
	var s shape
	r.h.Sum(s[:0])
	return s
}

// readNeeds fills in what a bundle needs.
func (g *graph) readNeeds(b int) { g.textShape(b) }

// shapeReader reads the statements of one bundle.
type shapeReader struct {
	g     *graph
	b     int
	h     hash.Hash
	name  string      // of the entry that is read
	needs map[int]int // bundle → the how-manieth that was named
	own   map[int]int // number of a name of its own → the how-manieth
}

func (r *shapeReader) mark(kind byte, n ...int) {
	buf := []byte{0, kind}
	for _, v := range n {
		buf = binary.AppendVarint(buf, int64(v))
	}
	r.h.Write(buf)
}

// schema: what stands in a schema needs it, named or not.
func (r *shapeReader) schema(e Entry) {
	if at, ok := r.g.names[plan.Name{Name: e.Schema}]; ok && e.Schema != "" {
		r.refer(at)
	}
}

func (r *shapeReader) refer(at place) {
	if at.bundle == r.b {
		n, ok := r.own[at.number]
		if !ok {
			n = len(r.own)
			r.own[at.number] = n
		}
		r.mark('O', n)
		return
	}
	n, ok := r.needs[at.bundle]
	if !ok {
		n = len(r.needs)
		r.needs[at.bundle] = n
		r.g.bundles[r.b].needs = append(r.g.bundles[r.b].needs, at.bundle)
	}
	r.mark('N', n, at.number)
}

// text reads a statement, or what stands in a string: a body, or the name of a sequence.
func (r *shapeReader) text(text, kind string) {
	list := slices.DeleteFunc(tokens(text), func(t token) bool { return t.kind == tokenSpace || t.kind == tokenComment || t.kind == tokenMeta })
	of := func(i int) string { return text[list[i].start:list[i].end] }
	named := func(i int) bool { return i < len(list) && (list[i].kind == tokenWord || list[i].kind == tokenQuoted) }
	bounds := false
	for i := 0; i < len(list); i++ {
		word := of(i)
		switch {
		case named(i) && named(i+2) && of(i+1) == "." && r.known(plan.Name{Schema: unquote(word), Name: unquote(of(i + 2))}):
			i += 2
		case named(i) && r.known(plan.Name{Name: unquote(word)}): // a schema
		case named(i) && bounds && isDigit(word[0]):
			r.mark('L')
		case named(i):
			bounds = bounds || kind == "TABLE ATTACH" && strings.EqualFold(word, "values")
			r.word(unquote(word))
		case list[i].kind == tokenString && (bounds || kind == "COMMENT"):
			r.mark('L') // partitions differ in their bounds, and any text can be a comment
		case list[i].kind == tokenString && len(word) > 2:
			r.mark('S')
			r.text(inside(word), "")
			r.mark('T')
		default:
			r.h.Write([]byte(word))
			r.mark('W')
		}
	}
}

func (r *shapeReader) known(name plan.Name) bool {
	at, ok := r.g.names[name]
	if ok {
		r.refer(at)
	}
	return ok
}

// word is a word that names nothing, but may be named after its table: orders_pkey.
func (r *shapeReader) word(word string) {
	own := r.g.bundles[r.b].name.Name
	switch {
	case word == own || word == r.name:
		r.mark('$')
	case strings.HasPrefix(word, own) && len(word) > len(own) && word[len(own)] == '_':
		r.mark('$')
		r.h.Write([]byte(word[len(own):]))
	default:
		r.h.Write([]byte(word))
	}
	r.mark('W')
}

// inside is a string's content. An escape within it matters to nobody here.
func inside(s string) string {
	if s[0] == '$' {
		tag := strings.IndexByte(s[1:], '$') + 2
		return s[tag:max(tag, len(s)-tag)]
	}
	return strings.Trim(strings.TrimLeft(s, "eE"), "'")
}

// Relations are the relations of the sample, for catalog.ObjectsOf.
func (s Sample) Relations() []plan.Name {
	var out []plan.Name
	for name := range s.names {
		if name.Schema != "" {
			out = append(out, name)
		}
	}
	return out
}

// Has tells whether the object is of the sample, or of those that are always in it.
func (s Sample) Has(o catalog.Object) bool {
	ofSchema := o.Of.Schema == "" || o.Of.Schema == "public" || s.names[plan.Name{Name: o.Of.Schema}]
	switch {
	case o.Of.Name != "":
		return s.names[o.Of]
	case o.Kind == "default privileges":
		return ofSchema
	}
	if pairs := qualified(o.Name); len(pairs) > 0 {
		return s.names[pairs[0]]
	}
	return ofSchema
}

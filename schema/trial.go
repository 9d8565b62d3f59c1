package schema

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Refusal is a statement that the server refused in a trial load.
type Refusal struct {
	Entry   Entry
	SQL     string
	Code    string
	Message string
	Hint    string
	// Follows is the index of the refusal that this one is a consequence of, -1 for a first cause.
	Follows int

	order int // of the statement among all
}

// Object names the refused object as it stands in a sentence.
func (r Refusal) Object() string {
	switch e := r.Entry; e.Type {
	case "ACL":
		return "privileges" + strings.TrimPrefix(lowerKind(e.label()), "acl")
	case "COMMENT", "SECURITY LABEL":
		return lowerKind(e.label())
	case fillingType:
		e.Type = "MATERIALIZED VIEW"
		return describe(e)
	default:
		return describe(e)
	}
}

// Try loads definitions for trial in the order in which a run does, each statement by itself, and returns what was
// refused in that order. It goes on behind a refusal, so that all are found. Missing are roles that the server does not
// have: nothing is given to them. Two sessions or more load what does not depend on each other side by side. The
// error is one of the connection, or of ctx.
func Try(ctx context.Context, sessions []*pg.Target, entries []Entry, matviews []plan.Relation, missing []string) ([]Refusal, error) {
	var refused []Refusal
	for _, side := range shares(entries, matviews, missing, len(sessions)) {
		found := make([][]Refusal, len(side))
		group, inner := errgroup.WithContext(ctx)
		for i, list := range side {
			group.Go(func() error {
				l := loader{t: sessions[i], size: batchStatements}
				err := l.load(inner, list)
				found[i] = l.refused
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		again, err := alone(ctx, sessions[0], side, slices.Concat(found...))
		if err != nil {
			return nil, err
		}
		refused = append(refused, again...)
	}
	slices.SortFunc(refused, func(a, b Refusal) int { return a.order - b.order })
	attribute(entries, refused)
	return refused, nil
}

// alone tries again what was refused while another session loaded too: the server may have chosen the same name for
// two arrays, which it would not in turn.
func alone(ctx context.Context, t *pg.Target, side [][]piece, refused []Refusal) ([]Refusal, error) {
	if len(side) == 1 || len(refused) == 0 {
		return refused, nil
	}
	at := map[int]bool{}
	for _, r := range refused {
		at[r.order] = true
	}
	var again []piece
	for _, p := range slices.Concat(side...) {
		if at[p.order] {
			again = append(again, p)
		}
	}
	slices.SortFunc(again, func(a, b piece) int { return a.order - b.order })
	l := loader{t: t, size: batchStatements}
	err := l.load(ctx, again)
	return l.refused, err
}

// CountStatements is how many statements Try sends for the entries, at most.
func CountStatements(entries []Entry) int {
	n := 0
	for _, e := range entries {
		n += len(statements(e.SQL))
	}
	return n
}

// piece is one statement of an entry.
type piece struct {
	entry Entry
	sql   string
	order int
}

// shares are the statements in the order of a run, as phases of lists that can be loaded side by side: first what
// others may need, then the tables that no other object names, in equal parts, then what ties tables together.
func shares(entries []Entry, matviews []plan.Relation, missing []string, sessions int) [][][]piece {
	d := dealer{missing: missing, part: lonely(entries, sessions), alone: make([][]piece, sessions)}
	pre, identity := definitions(entries)
	main, last := finishing(entries)
	for _, e := range slices.Concat(pre, identity, main) {
		at, lone := d.part[e.key()]
		switch {
		case ties(e):
			d.add(&d.last, e)
		case lone:
			d.add(&d.alone[at], e)
		default:
			d.add(&d.first, e)
		}
	}
	for _, e := range slices.Concat(filling(matviews), last, deferring(entries)) {
		d.add(&d.last, e)
	}
	return [][][]piece{{d.first}, d.alone, {d.last}}
}

// dealer deals statements out.
type dealer struct {
	missing     []string
	part        map[entryKey]int
	first, last []piece
	alone       [][]piece
	order       int
}

func (d *dealer) add(to *[]piece, e Entry) {
	for _, s := range statements(e.SQL) {
		d.order++
		if p := (piece{e, e.SQL[s.start:s.end], d.order}); !givenTo(p, d.missing) {
			*to = append(*to, p)
		}
	}
}

// filling are the entries that pg_dump would write for the rows of materialized views.
func filling(matviews []plan.Relation) []Entry {
	var out []Entry
	for _, m := range inRefreshOrder(matviews) {
		out = append(out, Entry{Type: fillingType, Schema: m.Name.Schema, Name: m.Name.Name, SQL: refreshStatement(m.Name)})
	}
	return out
}

const fillingType = "MATERIALIZED VIEW DATA"

// ties holds for what connects two tables, for what needs that, and for what changes tables that are made later.
func ties(e Entry) bool {
	return e.Type == "FK CONSTRAINT" || e.Type == "DEFAULT ACL" || e.Type == "COMMENT" && strings.HasPrefix(e.Name, "CONSTRAINT ")
}

// entryKey tells entries apart.
type entryKey struct{ kind, schema, name, sql string }

func (e Entry) key() entryKey { return entryKey{e.Type, e.Schema, e.Name, e.SQL} }

// lonely deals the entries of tables that nothing else names, and that name no other table, out to the sessions.
func lonely(entries []Entry, sessions int) map[entryKey]int {
	part := map[entryKey]int{}
	if sessions < 2 {
		return part
	}
	g := newGraph(entries)
	named := make([]bool, len(g.bundles))
	table := make([]bool, len(g.bundles))
	for i, b := range g.bundles {
		table[i] = len(b.entries) > 0 && g.entries[b.entries[0]].Type == "TABLE"
		g.readNeeds(i)
	}
	for i := range g.bundles {
		for _, n := range g.bundles[i].needs {
			named[n] = true
			named[i] = named[i] || table[n]
		}
	}
	count := 0
	for i, b := range g.bundles {
		if !table[i] || named[i] {
			continue
		}
		for _, e := range b.entries {
			part[entries[e].key()] = count % sessions
		}
		count++
	}
	return part
}

// givenTo tells whether the statement gives something to a role that is missing.
func givenTo(p piece, missing []string) bool {
	if len(missing) == 0 || !strings.Contains(p.sql, " OWNER TO ") || p.entry.Type == "COMMENT" {
		return false
	}
	w := words(p.sql)
	at := indexWords(w, "OWNER", "TO")
	return at >= 0 && at+3 == len(w) && slices.Contains(missing, unquote(w[at+2]))
}

// loader loads statements on one session.
type loader struct {
	t       *pg.Target
	refused []Refusal
	size    int // statements of the next batch
}

// A batch is one transaction and one round trip: large enough to save time, small enough for the server's table
// of locks. Behind a refusal the batches are small for a while: there may be more, and the server's log repeats all
// of a batch that fails.
const (
	batchStatements = 400
	batchAgain      = 8
	batchBytes      = 256 << 10
	maxAttempts     = 5
)

// load sends batches. Of one that fails it sends what stands before the refused statement again, which nothing
// is wrong with, and goes on behind it.
func (l *loader) load(ctx context.Context, list []piece) error {
	attempts := 0
	for len(list) > 0 {
		n := l.batch(list)
		texts := make([]string, n)
		for i, p := range list[:n] {
			texts[i] = p.sql
		}
		done, err := l.t.ExecEach(ctx, texts)
		if err == nil {
			list, attempts, l.size = list[n:], 0, min(2*l.size, batchStatements)
			continue
		}
		code := pg.Code(err)
		if ctx.Err() != nil || code == "" {
			return err
		}
		if attempts++; attempts < maxAttempts && slices.Contains(passing, code[:2]) {
			continue
		}
		at := min(refusedAt(texts, done, err), n-1)
		if at > 0 {
			if err := l.load(ctx, list[:at]); err != nil {
				return err
			}
		}
		l.refuse(list[at], err)
		l.size = batchAgain
		list, attempts = list[at+1:], 0
	}
	return nil
}

func (l *loader) batch(list []piece) int {
	n, size := 0, 0
	for n < len(list) && n < l.size && (n == 0 || size < batchBytes) {
		size += len(list[n].sql)
		n++
	}
	return n
}

// refusedAt finds the statement that was refused: a syntax error comes before the first is carried out, and has a
// position in all that was sent.
func refusedAt(texts []string, done int, err error) int {
	position := pg.Position(err)
	if position == 0 {
		return done
	}
	start := 0
	for i, t := range texts {
		start += utf8.RuneCountInString(t) + len(";\n")
		if position <= start {
			return i
		}
	}
	return done
}

// refuse notes a refusal. That a query over tables without rows divides by zero is none.
func (l *loader) refuse(p piece, err error) {
	code := pg.Code(err)
	if p.entry.Type == fillingType && strings.HasPrefix(code, dataException) {
		return
	}
	l.refused = append(l.refused, Refusal{
		Entry: p.entry, SQL: shownStatement(p), Code: code, Message: pg.Message(err), Hint: TrialHint(err), Follows: -1, order: p.order,
	})
}

const dataException = "22"

// shownStatement is the statement in one line. The options of a foreign server or a user mapping may hold a password.
func shownStatement(p piece) string {
	sql := strings.Join(strings.Fields(p.sql), " ")
	if p.entry.Type == "USER MAPPING" || p.entry.Type == "SERVER" || p.entry.Type == "SUBSCRIPTION" {
		sql, _, _ = strings.Cut(sql, "OPTIONS (")
	}
	return plan.OneLine(sql)
}

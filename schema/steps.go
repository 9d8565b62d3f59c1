package schema

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"pgleap/plan"
)

// chunk is how many entries one step holds where they need no step of their own. One step is one transaction
// and one round trip.
const chunk = 50

// nobody notices what happens on the target before the release.
const nobody = "nothing: nobody uses the target yet"

// SessionSettings are the statements that the session that loads definitions sends first: what pg_dump's own
// preamble sets. Server versions without default_table_access_method are passed over.
func SessionSettings() string {
	return `select pg_catalog.set_config('search_path', '', false);
set check_function_bodies = false;
set xmloption = content;
set client_min_messages = warning;
set row_security = off;
set default_tablespace = '';
select pg_catalog.set_config(name, 'heap', false) from pg_catalog.pg_settings where name = 'default_table_access_method';`
}

// DefinitionSteps are the steps of stage schema: everything that rows need, then the keys that replication
// needs to find a row again.
func DefinitionSteps(entries []Entry) []plan.Step {
	pre, identity := definitions(entries)
	ids := newNames()
	steps := chunked(ids, "schema.definitions", pre)
	return append(steps, chunked(ids, "schema.identity", identity)...)
}

// RowSteps are those of DefinitionSteps that rows need. The others come with EarlySteps and RestSteps: where rows come
// in one go it is quicker to build even the keys afterwards.
func RowSteps(entries []Entry) []plan.Step {
	pre, _ := definitions(entries)
	return chunked(newNames(), "schema.definitions", pre)
}

// RestSteps are the keys among the others, of the tables that are wanted: those of partitioned tables, and those that
// pg_dump has behind a function which may need one.
func RestSteps(others []Entry, wanted func(table plan.Name) bool) []plan.Step {
	_, identity := definitions(others)
	identity = slices.DeleteFunc(identity, func(e Entry) bool { return !wanted(tableOf(e)) })
	return chunked(newNames(), "subscribe.identity", identity)
}

// The batches of steps that work on a table's rows.
const (
	BatchKeys        = "keys" // behind the rows, by which apply finds them
	BatchIndexes     = "indexes"
	batchConstraints = "constraints" // they use indexes that are there
	batchForeignKeys = "foreign-keys"
)

func definitions(entries []Entry) (pre, identity []Entry) {
	for _, e := range entries {
		switch {
		case e.Section == Pre:
			pre = append(pre, e)
		case isIdentity(e):
			identity = append(identity, e)
		}
	}
	return pre, identity
}

// FinishSteps are the steps of stage finish: all that DefinitionSteps, EarlySteps and DeferredSteps leave, in pg_dump's
// order. sizes are the bytes of tables, by which parallel builds are ordered; matviews are refreshed where they
// hold rows on the source.
func FinishSteps(entries []Entry, sizes map[plan.Name]int64, matviews []plan.Relation) []plan.Step {
	main, last := finishing(entries)
	ids := newNames()
	var steps []plan.Step
	for len(main) > 0 {
		n, kind := run(main)
		part := main[:n]
		main = main[n:]
		switch kind {
		case "index":
			builds, comments := split(part, "COMMENT")
			for _, e := range builds {
				steps = append(steps, single(ids, "finish.index.", BatchIndexes, e, sizes))
			}
			steps = append(steps, chunked(ids, "finish.definitions", comments)...)
		case "foreign key":
			for _, e := range part {
				steps = append(steps, single(ids, "finish.foreign-key.", batchForeignKeys, e, sizes))
			}
		default:
			steps = append(steps, chunked(ids, "finish.definitions", part)...)
		}
	}
	steps = append(steps, refreshes(ids, matviews)...)
	return append(steps, chunked(ids, "finish.event-triggers", last)...)
}

// finishing returns the entries of stage finish, and those that come at its very end.
func finishing(entries []Entry) (main, last []Entry) {
	deferred := deferredTriggers(entries)
	for _, e := range entries {
		switch {
		case e.Section != Post || isIdentity(e) || deferred.has(e) || e.Type == "MATERIALIZED VIEW DATA":
		case e.Type == "EVENT TRIGGER" || e.Type == "COMMENT" && strings.HasPrefix(e.Name, "EVENT TRIGGER "):
			last = append(last, e)
		default:
			main = append(main, e)
		}
	}
	return main, last
}

// DeferredSteps are the triggers that fire for replicated rows too (ENABLE ALWAYS, ENABLE REPLICA), with their
// comments: before the switch they would act a second time on every row that the source's own acted on.
func DeferredSteps(entries []Entry) []plan.Step {
	return chunked(newNames(), "switch.triggers", deferring(entries))
}

func deferring(entries []Entry) (list []Entry) {
	deferred := deferredTriggers(entries)
	for _, e := range entries {
		if deferred.has(e) {
			list = append(list, e)
		}
	}
	return list
}

// run returns how many entries from the first on belong together, and what they are. A comment does not end a
// run of indexes: it can wait until they are all built.
func run(entries []Entry) (int, string) {
	kindOf := func(e Entry) string {
		switch e.Type {
		case "INDEX", "CONSTRAINT":
			return "index"
		case "FK CONSTRAINT":
			return "foreign key"
		}
		return ""
	}
	kind := kindOf(entries[0])
	n := 1
	for n < len(entries) {
		next := entries[n]
		if k := kindOf(next); k != kind && (kind != "index" || next.Type != "COMMENT") {
			break
		}
		n++
	}
	return n, kind
}

// split parts the entries of a type from the others; both keep their order.
func split(entries []Entry, entryType string) (others, those []Entry) {
	for _, e := range entries {
		if e.Type == entryType {
			those = append(those, e)
		} else {
			others = append(others, e)
		}
	}
	return others, those
}

func single(ids *names, prefix, batch string, e Entry, sizes map[plan.Name]int64) plan.Step {
	table := tableOf(e)
	object := e.Name
	if e.Type != "INDEX" { // "orders orders_pkey": the constraint's own name says enough
		object = strings.TrimPrefix(object, table.Name+" ")
	}
	step := plan.Step{
		ID:       ids.id(prefix + e.Schema + "." + object),
		Title:    act(e),
		On:       plan.Target,
		Recorded: true,
		Do:       plan.Action{SQL: script([]Entry{e})},
		Batch:    batch,
		Weight:   heavier(e) * sizes[table],
		Table:    &table,
		Notice:   nobody,
	}
	on := oneLine(table.String())
	switch {
	case batch == batchConstraints:
		step.Lock = "ACCESS EXCLUSIVE on " + on + ", for an instant"
	case batch == batchForeignKeys:
		step.Lock = "SHARE ROW EXCLUSIVE on " + on + " and on the table it refers to: apply to both waits"
		step.Hazards = []plan.Hazard{plan.HazardLoad, plan.HazardLocks}
	case e.Type == "CONSTRAINT":
		step.Lock = "ACCESS EXCLUSIVE on " + on + ": apply to it waits"
		step.Hazards = []plan.Hazard{plan.HazardLoad}
	default:
		step.Lock = "SHARE on " + on + ": apply to it waits"
		step.Hazards = []plan.Hazard{plan.HazardLoad}
	}
	return step
}

// heavier is how many times as long as a btree of one column the entry's index takes, about: what takes longest begins
// first.
func heavier(e Entry) int64 {
	if times := gathered(e.SQL); times > 0 {
		return times
	}
	return indexColumns(e.SQL)
}

// gathered is how many times as long as a btree of one column an index takes whose access method does not sort; 0 of a
// btree.
func gathered(sql string) int64 {
	w := words(sql)
	for method, times := range map[string]int64{"gin": 8, "gist": 8, "spgist": 6} {
		if hasWords(w, "USING", method) {
			return times
		}
	}
	return 0
}

// Sorts tells whether the step builds its index by sorting.
func Sorts(s plan.Step) bool { return gathered(s.Do.SQL) == 0 }

// indexColumns counts the columns of the first list in parentheses, at least 1.
func indexColumns(sql string) int64 {
	columns, depth := int64(1), 0
	for _, t := range tokens(sql) {
		switch sql[t.start:t.end] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return columns
			}
		case ",":
			if depth == 1 {
				columns++
			}
		}
	}
	return columns
}

// chunked puts up to chunk entries into a step.
func chunked(ids *names, prefix string, entries []Entry) []plan.Step {
	var steps []plan.Step
	for len(entries) > 0 {
		n := min(chunk, len(entries))
		part := entries[:n]
		entries = entries[n:]
		title := act(part[0])
		if n > 1 {
			title += fmt.Sprintf(" … %s (%d objects)", describe(part[n-1]), n)
		}
		steps = append(steps, plan.Step{
			ID:       ids.numbered(prefix),
			Title:    title,
			On:       plan.Target,
			Recorded: true,
			Do:       plan.Action{SQL: script(part)},
			Notice:   nobody,
		})
	}
	return steps
}

// spoken are the kinds that a reader calls by another name than pg_dump does, and what is done to them.
var spoken = map[string]struct{ verb, kind string }{
	"FK CONSTRAINT":     {"create", "foreign key"},
	"ACL":               {"set", "privileges"},
	"DEFAULT ACL":       {"set", "default privileges"},
	"COMMENT":           {"set", "comment"},
	"SECURITY LABEL":    {"set", "security label"},
	"DEFAULT":           {"set", "default"},
	"ROW SECURITY":      {"set", "row security"},
	"SEQUENCE OWNED BY": {"set", "owner of sequence"},
	"TABLE ATTACH":      {"attach", "partition"},
	"INDEX ATTACH":      {"attach", "index"},
}

// act says what the entry does: "create foreign key public.orders orders_customer_fkey".
func act(e Entry) string { return verb(e) + " " + describe(e) }

func verb(e Entry) string {
	if s, ok := spoken[e.Type]; ok {
		return s.verb
	}
	return "create"
}

// describe is the entry's label as a reader says it.
func describe(e Entry) string {
	kind := strings.ToLower(e.Type)
	if s, ok := spoken[e.Type]; ok {
		kind = s.kind
	}
	return kind + e.label()[len(e.Type):]
}

// refreshes fill the materialized views that hold rows on the source, each after those it is built on.
func refreshes(ids *names, matviews []plan.Relation) []plan.Step {
	var steps []plan.Step
	for _, m := range inRefreshOrder(matviews) {
		name := m.Name
		sql := refreshStatement(m.Name)
		steps = append(steps, plan.Step{
			ID:       ids.id("finish.refresh." + m.Name.Schema + "." + m.Name.Name),
			Title:    oneLine("refresh materialized view " + m.Name.Schema + "." + m.Name.Name),
			On:       plan.Target,
			Recorded: true,
			Do:       plan.Action{SQL: oneLine("-- MATERIALIZED VIEW "+m.Name.Schema+"."+m.Name.Name) + "\n" + sql},
			Hazards:  []plan.Hazard{plan.HazardLoad},
			Table:    &name,
			Lock:     oneLine("ACCESS EXCLUSIVE on " + m.Name.String()),
			Notice:   nobody + "; it takes as long as its query",
		})
	}
	return steps
}

// inRefreshOrder returns those that hold rows, each behind those it is built on.
func inRefreshOrder(matviews []plan.Relation) []plan.Relation {
	var list []plan.Relation
	for _, m := range matviews {
		if m.Populated {
			list = append(list, m)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Depth < list[j].Depth })
	return list
}

func refreshStatement(n plan.Name) string { return "refresh materialized view " + n.String() + ";" }

// script is the SQL of entries, each under one line that names it: a reader sees what is what, and an error is
// told with its object.
func script(entries []Entry) string {
	parts := make([]string, len(entries))
	for i, e := range entries {
		parts[i] = "-- " + e.label() + "\n" + e.SQL
	}
	return strings.Join(parts, "\n\n")
}

// names makes step ids that are unique.
type names struct {
	used  map[string]bool
	count map[string]int
}

func newNames() *names { return &names{used: map[string]bool{}, count: map[string]int{}} }

// id returns name on one line, with a number where it is taken.
func (n *names) id(name string) plan.StepID {
	name = oneLine(name)
	id := name
	for i := 2; n.used[id]; i++ {
		id = fmt.Sprintf("%s.%d", name, i)
	}
	n.used[id] = true
	return plan.StepID(id)
}

// numbered returns prefix.001 and so on.
func (n *names) numbered(prefix string) plan.StepID {
	n.count[prefix]++
	return n.id(fmt.Sprintf("%s.%03d", prefix, n.count[prefix]))
}

func oneLine(s string) string {
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
}

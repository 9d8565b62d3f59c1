package schema

import (
	"slices"
	"strings"

	"pgleap/plan"
)

// isIdentity tells whether replication needs the entry to find rows: a primary key, or the index that was
// chosen as the replica identity.
func isIdentity(e Entry) bool {
	if e.Chosen {
		return true
	}
	if e.Type != "CONSTRAINT" && e.Type != "INDEX" {
		return false
	}
	w := words(e.SQL)
	return e.Type == "CONSTRAINT" && hasWords(w, "PRIMARY", "KEY") || hasWords(w, "REPLICA", "IDENTITY", "USING", "INDEX")
}

// Choose marks the indexes that are to identify rows although the dump does not say so, by their names.
func Choose(entries []Entry, indexes []plan.Name) []Entry {
	out := slices.Clone(entries)
	for i, e := range out {
		name := e.Name
		switch e.Type {
		case "CONSTRAINT": // "orders orders_code_key"
			name = strings.TrimPrefix(name, tableOf(e).Name+" ")
		case "INDEX":
		default:
			continue
		}
		out[i].Chosen = slices.Contains(indexes, plan.Name{Schema: e.Schema, Name: name})
	}
	return out
}

// tableOf returns the relation that an index, a constraint or a trigger stands on, as the entry's own statement
// names it; the zero Name where it names none.
func tableOf(e Entry) plan.Name {
	w := words(e.SQL)
	at := indexWords(w, "ON")
	if len(w) > 0 && strings.EqualFold(w[0], "ALTER") {
		at = indexWords(w, "TABLE")
	}
	if at < 0 {
		return plan.Name{}
	}
	at++
	if at < len(w) && strings.EqualFold(w[at], "ONLY") {
		at++
	}
	return nameAt(w, at)
}

// nameAt reads schema.name from the words at i.
func nameAt(w []string, i int) plan.Name {
	if i+2 < len(w) && w[i+1] == "." {
		return plan.Name{Schema: unquote(w[i]), Name: unquote(w[i+2])}
	}
	if i < len(w) {
		return plan.Name{Name: unquote(w[i])}
	}
	return plan.Name{}
}

func unquote(word string) string {
	if len(word) >= 2 && word[0] == '"' {
		return strings.ReplaceAll(word[1:len(word)-1], `""`, `"`)
	}
	return word
}

// trigger is a trigger's name and its table.
type trigger struct {
	table plan.Name
	name  string
}

// triggers is a set of them.
type triggers map[trigger]bool

// deferredTriggers finds the triggers that fire for replicated rows. pg_dump writes the ALTER TABLE … ENABLE
// ALWAYS TRIGGER into the entry of the trigger itself, or of its copy on a partition.
func deferredTriggers(entries []Entry) triggers {
	found := triggers{}
	for _, e := range entries {
		if e.Type != "TRIGGER" {
			continue
		}
		if w := words(e.SQL); hasWords(w, "ENABLE", "ALWAYS", "TRIGGER") || hasWords(w, "ENABLE", "REPLICA", "TRIGGER") {
			found[triggerOf(e, w)] = true
		}
	}
	return found
}

// has tells whether the entry is one of the triggers, the state of its copy on a partition, or its comment.
func (t triggers) has(e Entry) bool {
	if len(t) == 0 {
		return false
	}
	w := words(e.SQL)
	switch {
	case e.Type == "COMMENT" && hasWords(w[:min(3, len(w))], "COMMENT", "ON", "TRIGGER") && len(w) > 4:
		return t[trigger{nameAt(w, 5), unquote(w[3])}]
	case e.Type != "TRIGGER":
		return false
	case strings.EqualFold(w[0], "ALTER"):
		// Only copies have an entry without CREATE; they cannot be altered before their original is there.
		name := triggerOf(e, w).name
		for d := range t {
			if d.name == name {
				return true
			}
		}
		return false
	}
	return t[triggerOf(e, w)]
}

// triggerOf reads CREATE [CONSTRAINT] TRIGGER name … ON table, or ALTER TABLE table ENABLE … TRIGGER name.
func triggerOf(e Entry, w []string) trigger {
	at := indexWords(w, "TRIGGER")
	if at < 0 || at+1 >= len(w) {
		return trigger{table: tableOf(e)}
	}
	return trigger{tableOf(e), unquote(w[at+1])}
}

// DeferredTriggers names the triggers of DeferredSteps and their comments, as Compare takes what it is to leave out.
func DeferredTriggers(entries []Entry) []string {
	var list []string
	for t := range deferredTriggers(entries) {
		name := plan.QuoteIdent(t.name) + " on " + t.table.String()
		list = append(list, "trigger "+name, "comment trigger "+name)
	}
	slices.Sort(list)
	return list
}

package schema

import (
	"slices"
	"sort"
	"strings"

	"pgleap/internal/catalog"
	"pgleap/plan"
)

// Difference is an object that the two sides define differently; an empty text says that a side has none.
type Difference struct {
	Kind, Name     string
	Source, Target string

	of plan.Name
}

// String returns "kind name", the form in which Compare is told what to leave out.
func (d Difference) String() string { return d.Kind + " " + d.Name }

// Compare finds what differs between the objects of the two sides, as catalog.Objects reads them. Left out are
// what belongs to relations and schemas that were not selected, and the objects named in without, each as
// "kind name", such as DeferredTriggers before the switch. Of a relation that one side lacks only the relation
// is told, not all that belongs to it.
func Compare(source, target []catalog.Object, sel plan.Selection, without ...string) []Difference {
	left := map[string]bool{}
	for _, w := range without {
		left[bare(w)] = true
	}
	noPublic := !slices.ContainsFunc(source, func(o catalog.Object) bool { return o.Kind == "schema" && o.Name == "public" })
	found := differences(source, target)
	found = slices.DeleteFunc(found, func(d Difference) bool {
		return slices.Contains(sel.Schemas, d.of.Schema) || slices.Contains(sel.Excluded, d.of) || left[bare(d.String())] ||
			// A source whose schema public was dropped: the target's is empty, and harms nobody.
			noPublic && d.Source == "" && isPublicItself(d)
	})
	return withoutImplied(found)
}

// bare takes the quotes off: which words are quoted in the name of a comment's object is the server's choice.
func bare(name string) string { return strings.ReplaceAll(name, `"`, "") }

// differences are all of them, sorted by kind and name.
func differences(source, target []catalog.Object) []Difference {
	there := map[string]catalog.Object{}
	for _, o := range target {
		there[o.Kind+" "+o.Name] = o
	}
	var found []Difference
	for _, s := range source {
		key := s.Kind + " " + s.Name
		t, ok := there[key]
		delete(there, key)
		if !ok {
			found = append(found, Difference{s.Kind, s.Name, shown(s), "", s.Of})
		} else if s.Definition != t.Definition {
			found = append(found, Difference{s.Kind, s.Name, s.Definition, t.Definition, s.Of})
		}
	}
	for _, t := range there {
		found = append(found, Difference{t.Kind, t.Name, "", shown(t), t.Of})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	return found
}

// shown is the definition of an object that the other side lacks: never empty.
func shown(o catalog.Object) string {
	if o.Definition == "" {
		return "present"
	}
	return o.Definition
}

// isPublicItself holds for schema public, its privileges and its comment, not for what is in it.
func isPublicItself(d Difference) bool {
	return d.String() == "schema public" || d.String() == "comment schema public" ||
		d.Kind == "privilege" && strings.Contains(d.Name, " on schema public to ")
}

var relationKinds = []string{"table", "partitioned table", "view", "materialized view", "foreign table", "sequence"}

// withoutImplied leaves out what follows from another difference: the belongings of a relation that is missing,
// and the order of columns of which one is.
func withoutImplied(all []Difference) []Difference {
	relation, column := map[plan.Name]bool{}, map[plan.Name]bool{}
	for _, d := range all {
		if d.Source != "" && d.Target != "" {
			continue
		}
		relation[d.of] = relation[d.of] || slices.Contains(relationKinds, d.Kind)
		column[d.of] = column[d.of] || d.Kind == "column"
	}
	return slices.DeleteFunc(all, func(d Difference) bool {
		return relation[d.of] && !slices.Contains(relationKinds, d.Kind) || column[d.of] && d.Kind == "column order"
	})
}

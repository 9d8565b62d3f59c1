package plan

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pgver"
)

// checkRemovedFeatures says what this very target refuses, or would take otherwise than it is meant.
func checkRemovedFeatures(in input) []Finding {
	return slices.Concat(withOIDs(in), removedUses(in), removedColumns(in), registeredNames(in))
}

func withOIDs(in input) []Finding {
	var out []Finding
	for _, r := range slices.Concat(in.selection.Published, in.selection.Roots, in.selection.Unlogged) {
		if r.WithOIDs {
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: r.Name.String(),
				Problem: said(r.Name) + " is made WITH OIDS\nfrom 12 on there is no such column, its values would be lost",
				Fix:     "keep the values in a column of their own if something uses them, then drop the hidden one (this rewrites the table)",
				SQL:     "alter table " + r.Name.String() + " set without oids;",
			})
		}
	}
	return out
}

// replacement of a type that is gone.
var replacement = map[string]string{"abstime": "timestamptz", "reltime": "interval", "tinterval": "tstzrange"}

func removedUses(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, u := range in.source.Definitions.Removed {
		if leftOut(u.Name) {
			continue
		}
		f := Finding{Severity: Blocker, On: Source, Object: u.Name.String()}
		signature := fmt.Sprintf("%s %s(%s)", u.Kind, u.Name, u.Member)
		switch {
		case (u.Kind == "column" || u.Kind == "domain" || u.Kind == "function") && in.target.Version.Has(pgver.NoOldTimes):
			oldTime(&f, u)
		case u.Kind == "postfix operator" && in.target.Version.Has(pgver.NoPostfixOperators):
			operator := u.Name.Schema + "." + u.Name.Name // an operator's name is never quoted
			f.Object = operator
			f.Problem = fmt.Sprintf("%s (%s, none) is a postfix operator\nPostgreSQL %d has none any more: neither it nor what uses it can be made", OneLine(operator), u.Member, pgver.NoPostfixOperators.Major)
			f.Fix = "call its function instead wherever it is used, then drop it"
			f.SQL = fmt.Sprintf("drop operator %s.%s (%s, none);", QuoteIdent(u.Name.Schema), u.Name.Name, u.Member)
		case (u.Kind == "aggregate" || u.Kind == "operator") && in.target.Version.Has(pgver.CompatibleArrays):
			f.Problem = fmt.Sprintf("%s is built on %s(anyarray, …)\nfrom PostgreSQL %d on that takes anycompatiblearray: it cannot be made", OneLine(signature), u.Uses, pgver.CompatibleArrays.Major)
			f.Fix = fmt.Sprintf("make a function of your own over anyarray and anyelement that calls %s, and build it on that: the function loads on both", u.Uses)
		case u.Kind == "cast" && slices.Contains(in.target.Definitions.SystemCasts, u.Name.Name+" as "+u.Member):
			f.Object = "cast (" + u.Name.Name + " as " + u.Member + ")"
			f.Problem = fmt.Sprintf("%s is your own on the source, and PostgreSQL %d has one itself\nit cannot be made, and the target's own may give other values", f.Object, in.target.Version.Major())
			f.Fix = "drop it on the source, and write the conversion out where it is meant"
			f.SQL = "drop " + f.Object + ";"
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// oldTime tells of the types of times that are gone.
func oldTime(f *Finding, u RemovedUse) {
	gone := fmt.Sprintf("\nPostgreSQL %d and later have no such type", pgver.NoOldTimes.Major)
	switch u.Kind {
	case "column":
		column := u.Name.String() + "." + QuoteIdent(u.Member)
		f.Problem = fmt.Sprintf("column %s is of type %s%s: the table cannot be made", OneLine(column), u.Uses, gone)
		f.Fix = "change its type (this rewrites the table)"
		if to := replacement[u.Uses]; to != "tstzrange" {
			f.SQL = fmt.Sprintf("alter table %s alter column %s type %s;", u.Name, QuoteIdent(u.Member), to)
		} else {
			f.Fix = "put its two ends into columns of type timestamptz, or into a tstzrange, and drop it"
		}
	case "domain":
		f.Problem = fmt.Sprintf("domain %s stands on type %s%s: neither it nor what uses it can be made", said(u.Name), u.Uses, gone)
		f.Fix = "make another domain over " + replacement[u.Uses] + ", change the columns to it, and drop this one"
	default:
		f.Problem = fmt.Sprintf("function %s(%s) takes or returns %s%s: it cannot be made", said(u.Name), OneLine(u.Member), u.Uses, gone)
		f.Fix = "make it with " + replacement[u.Uses] + ", and drop this one"
		f.SQL = fmt.Sprintf("drop function %s(%s);", u.Name, u.Member)
	}
}

// renamedColumns of views that belong to extensions, by the version that has them no longer.
var renamedColumns = []struct{ extension, columns, since string }{
	{"pg_stat_statements", "total_time min_time max_time mean_time stddev_time", "1.8"},
	{"pg_stat_statements", "blk_read_time blk_write_time", "1.11"},
}

// removedColumns finds views and rules over columns that the target's own relations no longer have.
func removedColumns(in input) []Finding {
	type view struct{ name, relation Name }
	missing := map[view][]string{}
	var order []view
	leftOut := in.leftOut()
	kinds := map[Name]string{}
	for _, u := range in.source.Definitions.SystemUses {
		if leftOut(u.View) || !goneOnTarget(in, u) {
			continue
		}
		v := view{u.View, u.Relation}
		if missing[v] == nil {
			order = append(order, v)
		}
		missing[v] = append(missing[v], QuoteIdent(u.Column))
		kinds[u.View] = map[string]string{"v": "view", "m": "materialized view"}[u.Kind]
	}
	var out []Finding
	for _, v := range order {
		kind := kinds[v.name]
		if kind == "" {
			kind = "a rule of"
		}
		gone := "has no " + firstFive(missing[v]) + " any more"
		if _, there := in.target.Definitions.SystemColumns[v.relation.Schema+"."+v.relation.Name]; !there && strings.HasPrefix(v.relation.Schema, "pg_") {
			gone = "is gone"
		}
		out = append(out, Finding{
			Severity: Blocker, On: Source, Object: v.name.String(),
			Problem: fmt.Sprintf("%s %s reads %s, which on the target %s\nneither it nor what uses it can be made", kind, said(v.name), said(v.relation), gone),
			Fix:     fmt.Sprintf("write it without them, or drop it and make it again on the target as PostgreSQL %d has it", in.target.Version.Major()),
		})
	}
	return out
}

func goneOnTarget(in input, u SystemUse) bool {
	if u.Extension != "" {
		on := in.target.Definitions.ExtensionDefaults[u.Extension].Version
		for _, r := range renamedColumns {
			if r.extension == u.Extension && slices.Contains(strings.Fields(r.columns), u.Column) && on != "" && compareVersions(on, r.since) >= 0 {
				return true
			}
		}
		return false
	}
	d := in.target.Definitions
	// without the target's catalog, as when a plan was read back, there is nothing to compare with
	return d.SystemColumns != nil && !slices.Contains(d.SystemColumns[u.Relation.Schema+"."+u.Relation.Name], u.Column)
}

// registeredNames are columns of types such as regclass: they hold an oid here, and travel as a name.
func registeredNames(in input) []Finding {
	var out []Finding
	for _, r := range slices.Concat(in.selection.Published, in.selection.Unlogged) {
		for _, c := range r.Columns {
			t := strings.TrimSuffix(c.Type, "[]")
			if !strings.HasPrefix(t, "reg") || c.Generated != "" {
				continue
			}
			f := Finding{
				Severity: Info, On: Source, Object: r.Name.String(),
				Problem: fmt.Sprintf("column %s.%s is of type %s: it travels as a name, and gets the oid which that name has on the target", said(r.Name), ident(c.Name), c.Type),
				Fix:     "nothing is to be done as long as what it names is part of the upgrade",
			}
			switch t {
			case "regclass":
				f.Severity = Warning
				f.Problem += "\na value that names an index, which is made after the first copy, or a relation that is left out, stops the copy of the table"
				f.Fix = "look for such values; keep names of indexes as text"
			case "regproc", "regoper":
				f.Severity = Warning
				f.Problem += "\na name that several functions or operators share is refused, and stops the copy of the table"
				f.Fix = "use " + map[string]string{"regproc": "regprocedure", "regoper": "regoperator"}[t] + ", which names the arguments too"
				f.SQL = fmt.Sprintf("alter table %s alter column %s type %s;", r.Name, QuoteIdent(c.Name), strings.Replace(c.Type, t, map[string]string{"regproc": "regprocedure", "regoper": "regoperator"}[t], 1))
			case "regtype", "regprocedure", "regoperator", "regconfig", "regdictionary", "regnamespace", "regrole", "regcollation":
			default:
				continue // a type of the user's own
			}
			out = append(out, f)
		}
	}
	return out
}

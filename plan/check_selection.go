package plan

import (
	"errors"
	"fmt"
	"slices"
)

// leftOut returns the judge of what the dump leaves out.
func (in input) leftOut() func(Name) bool {
	names := map[Name]bool{}
	for _, n := range in.selection.Excluded {
		names[n] = true
	}
	return func(n Name) bool { return names[n] || slices.Contains(in.selection.Schemas, n.Schema) }
}

func checkSelection(in input) []Finding {
	if in.selectionError != nil {
		f := Finding{Severity: Blocker, On: Source, Problem: in.selectionError.Error()}
		var failure *Failure
		if errors.As(in.selectionError, &failure) {
			f.Problem, f.Fix = failure.Err.Error(), failure.Fix
		}
		return []Finding{f}
	}
	o := in.options
	if o.AllTables && len(o.Schemas)+len(o.Tables)+len(o.ExcludeTables) > 0 {
		return []Finding{{
			Severity: Blocker, On: Source,
			Problem: "everything is to be published (--all-tables), but not everything is selected\nchanges of the other tables would stop replication on the target",
			Fix:     "leave --all-tables out, or select everything",
		}}
	}
	return append(viewsWithoutTables(in), leftOutOnPurpose(in)...)
}

// leftOutOnPurpose says in the plan what the operator's selection leaves behind.
func leftOutOnPurpose(in input) []Finding {
	kept := map[Name]bool{}
	for _, n := range in.selection.Excluded {
		kept[n] = true
	}
	var tables []string
	for _, r := range in.source.Relations {
		if (r.IsTable() || r.Kind == "p") && (kept[r.Name] || slices.Contains(in.selection.Schemas, r.Name.Schema)) {
			tables = append(tables, said(r.Name))
		}
	}
	if len(tables) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Info, On: Source,
		Problem: fmt.Sprintf("%s left out on purpose: %s\nneither their definitions nor their rows are on the new server; the old server does not fence them", plural(len(tables), "table"), firstFive(tables)),
		Fix:     "see that nobody needs them on the new server",
	}}
}

// viewsWithoutTables finds views that are kept while something they read is left out.
func viewsWithoutTables(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, r := range in.source.Relations {
		if r.Extension != "" || leftOut(r.Name) {
			continue
		}
		for _, u := range r.Uses {
			if leftOut(u) {
				out = append(out, Finding{
					Severity: Blocker, On: Source, Object: r.Name.String(),
					Problem: fmt.Sprintf("view %s reads %s, which is left out\nit cannot be made on the target", said(r.Name), said(u)),
					Fix:     fmt.Sprintf("exclude the view too (--exclude-tables '%s'), or select %s", r.Name, u),
				})
				break
			}
		}
	}
	return out
}

func checkSelectionFKs(in input) []Finding {
	var out []Finding
	leftOut := in.leftOut()
	for _, k := range in.source.ForeignKeys {
		from, to := leftOut(k.From), leftOut(k.To)
		switch {
		case !from && to:
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: k.From.String(),
				Problem: fmt.Sprintf("foreign key %s of %s points to %s, which is left out\nit cannot be made on the target", ident(k.Name), said(k.From), said(k.To)),
				Fix:     fmt.Sprintf("select %s too, or exclude %s", k.To, k.From),
			})
		case from && !to:
			out = append(out, Finding{
				Severity: Warning, On: Source, Object: k.To.String(),
				Problem: fmt.Sprintf("%s is selected, and %s, which points to it by foreign key %s, is left out\nnothing will hold the two together any more", said(k.To), said(k.From), ident(k.Name)),
				Fix:     fmt.Sprintf("select %s too, or accept it", k.From),
			})
		}
	}
	return out
}

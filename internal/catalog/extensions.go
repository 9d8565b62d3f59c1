package catalog

import (
	"fmt"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// extensionData reads which tables of extensions hold rows that the extension's script would not make again.
// They are few, so each is asked by itself; one that may not be read, or that somebody has locked, is judged
// by its size.
func (r *reader) extensionData() error {
	rows, err := query[struct {
		Schema, Name, Extension, Condition string
		Config, Filled, Readable           bool
	}](r, "extension_tables")
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := plan.ExtensionTable{Name: plan.Name{Schema: row.Schema, Name: row.Name}, Extension: row.Extension, Config: row.Config}
		holds := row.Filled
		if row.Readable {
			answer, err := list[bool](r, "rows of "+t.Name.String(), fmt.Sprintf("select exists (select from %s %s)", t.Name, row.Condition))
			switch {
			case err == nil:
				holds = answer[0]
			case pg.Code(err) == "" || pg.Code(err) == pg.CodeLockTimeout:
				return err
			} // else the extension's condition does not work: its size has to do
		}
		if holds {
			r.facts.ExtensionData = append(r.facts.ExtensionData, t)
		}
	}
	return nil
}

package catalog

import "pgleap/plan"

// largeObjects reads what a copy of the large objects would meet. Their room is the whole file's: to add up their
// lengths would read them all.
func (r *reader) largeObjects() error {
	if r.facts.LargeObjects == 0 {
		return nil
	}
	row, err := one[struct {
		Bytes, Unreadable, Example int64
		ExampleOf                  string
		Owners                     []string
	}](r, "large_objects")
	if err != nil {
		return err
	}
	r.facts.Definitions.LargeObjects = plan.LargeObjects{
		Bytes: row.Bytes, Owners: row.Owners, Unreadable: row.Unreadable, Example: row.Example, ExampleOf: row.ExampleOf,
	}
	return nil
}

// uniqueIndexes finds the index by which a materialized view can be refreshed concurrently.
func (r *reader) uniqueIndexes() error {
	rows, err := query[struct {
		Relation int64
		Name     string
	}](r, "matview_indexes")
	for _, i := range rows {
		if rel := r.relation(i.Relation); rel != nil && rel.UniqueIndex == "" {
			rel.UniqueIndex = i.Name
		}
	}
	return err
}

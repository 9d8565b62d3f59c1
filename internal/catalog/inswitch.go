package catalog

import "pgleap/plan"

// countedUpTo is the size of the file of all large objects up to which their lengths are added up: that reads it
// all, and what is larger is not copied while anybody waits.
const countedUpTo = 256 << 20

// largeObjects reads what a copy of the large objects would meet. Their room in the file is less than their length
// where they compress well, and more where dead ones have left gaps; but only a superuser may read the file.
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
	if !r.facts.Role.Superuser || row.Bytes > countedUpTo {
		return nil
	}
	lengths, err := list[int64](r, "lengths of large objects", "select coalesce(sum(octet_length(data)), 0)::int8 from pg_catalog.pg_largeobject")
	if err == nil && len(lengths) == 1 {
		r.facts.Definitions.LargeObjects.Bytes = lengths[0]
	}
	return err
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

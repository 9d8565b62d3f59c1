package catalog

// definitions reads what checks need to know of definitions and of what is no table.
func (r *reader) definitions() error {
	for _, step := range []func() error{r.largeObjects, r.uniqueIndexes} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

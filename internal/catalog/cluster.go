package catalog

// cluster reads what surrounds the database.
func (r *reader) cluster() error { return nil }

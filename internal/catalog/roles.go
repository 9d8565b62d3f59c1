package catalog

// roleDetails reads the roles with what belongs to them.
func (r *reader) roleDetails() error { return nil }

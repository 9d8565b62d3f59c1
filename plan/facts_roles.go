package plan

// RoleFacts are the roles of a server with what belongs to them, and the settings of this database. All of it is volatile.
type RoleFacts struct {
	OwnerFacts
}

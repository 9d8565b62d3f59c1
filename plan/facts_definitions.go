package plan

// DefinitionFacts are definitions that checks look at. All of it is volatile: the catalogs of both sides are compared object by object before the switch.
type DefinitionFacts struct {
	LargeObjects LargeObjects `json:"large_objects,omitzero"`
}

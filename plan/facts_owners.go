package plan

import "slices"

// OwnerFacts say who owns what in this database: a role that is no superuser has to be a member of every owner.
type OwnerFacts struct {
	Owned        []Ownership       `json:"owned,omitempty"`         // what is no table, view or foreign table
	SchemaOwners map[string]string `json:"schema_owners,omitempty"` // schema → role
	MayCreate    []SchemaRole      `json:"may_create,omitempty"`    // granted CREATE on a schema of somebody else
	Grantors     []string          `json:"grantors,omitempty"`      // gave privileges on what is not theirs
	Tablespaces  []string          `json:"tablespaces,omitempty"`   // that hold something of the database, besides its own
	Wrappers     []string          `json:"wrappers,omitempty"`      // foreign data wrappers of its servers
	Powerful     []Powerful        `json:"powerful,omitempty"`      // definitions that only a superuser can make
	OwnerLacks   []OwnerLacks      `json:"owner_lacks,omitempty"`   // tables whose owner was taken a right
	Forced       []string          `json:"forced,omitempty"`        // tables whose policies hold for their owner too
}

// Ownership is what one role owns in one schema, or outside of schemas.
type Ownership struct {
	Owner  string `json:"owner"`
	Schema string `json:"schema,omitempty"`
	Object string `json:"object"` // one of them
}

// SchemaRole is a role in a schema.
type SchemaRole struct {
	Schema string `json:"schema"`
	Role   string `json:"role"`
}

// Powerful is a definition that PostgreSQL takes from superusers only.
type Powerful struct {
	Schema string `json:"schema,omitempty"`
	Object string `json:"object"`
	Why    string `json:"why"`
}

// OwnerLacks is a table on which its own owner lacks a right.
type OwnerLacks struct {
	Table  Name     `json:"table"`
	Owner  string   `json:"owner"`
	Rights []string `json:"rights"`
}

// Lodger owns something in a schema that is not his own. PostgreSQL lets nobody but a superuser hand an object to
// a role that may not create in the object's schema.
type Lodger struct {
	SchemaRole
	Keeps bool // he may create there on the source, too: the dump carries the grant
}

// Lodgers returns the owners of what is selected that live in schemas of others, sorted.
func Lodgers(source Facts, s Selection) []Lodger {
	o := source.RoleDetails.OwnerFacts
	var out []Lodger
	for _, own := range owned(source, s) {
		at := SchemaRole{own.Schema, own.Owner}
		if own.Schema == "" || o.SchemaOwners[own.Schema] == own.Owner {
			continue
		}
		l := Lodger{SchemaRole: at, Keeps: slices.Contains(o.MayCreate, at)}
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// owned returns everything of the selection that has an owner, sorted as the facts are.
func owned(source Facts, s Selection) []Ownership {
	var out []Ownership
	for _, r := range source.Relations {
		if r.Extension == "" && !slices.Contains(s.Schemas, r.Name.Schema) && !slices.Contains(s.Excluded, r.Name) {
			out = append(out, Ownership{r.Owner, r.Name.Schema, kindNames[r.Kind] + " " + r.Name.String()})
		}
	}
	for _, own := range source.RoleDetails.Owned {
		if !slices.Contains(s.Schemas, own.Schema) {
			out = append(out, own)
		}
	}
	for _, schema := range source.Schemas {
		if owner := source.RoleDetails.SchemaOwners[schema]; owner != "" && schema != "public" && !slices.Contains(s.Schemas, schema) {
			out = append(out, Ownership{owner, "", "schema " + QuoteIdent(schema)})
		}
	}
	return out
}

var kindNames = map[string]string{"r": "table", "p": "table", "m": "materialized view", "f": "foreign table", "v": "view"}

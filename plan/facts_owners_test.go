package plan

import (
	"slices"
	"testing"
)

func TestLodgers(t *testing.T) {
	s, _ := healthy()
	s.Schemas = []string{"app", "left", "public"}
	s.Relations = append(s.Relations, Relation{Name: Name{"app", "v"}, Kind: "v", Owner: "viewer"}, Relation{Name: Name{"app", "x"}, Kind: "r", Owner: "ext", Extension: "e"})
	s.RoleDetails.OwnerFacts = OwnerFacts{
		SchemaOwners: map[string]string{"app": "app", "left": "app", "public": "postgres"},
		Owned: []Ownership{
			{"app", "app", "function app.f"},
			{"other", "app", "function app.g"},
			{"other", "left", "function left.g"},
			{"other", "", "default privileges"},
		},
		MayCreate: []SchemaRole{{"app", "other"}},
	}
	want := []Lodger{{SchemaRole{"public", "app"}, false}, {SchemaRole{"app", "viewer"}, false}, {SchemaRole{"app", "other"}, true}}
	if got := Lodgers(s, Selection{Schemas: []string{"left"}}); !slices.Equal(got, want) {
		t.Errorf("lodgers %+v; want %+v", got, want)
	}
	if got := Lodgers(s, Selection{Schemas: []string{"left", "public"}, Excluded: []Name{{"app", "v"}}}); !slices.Equal(got, want[2:]) {
		t.Errorf("lodgers of what is left %+v; want %+v", got, want[2:])
	}
}

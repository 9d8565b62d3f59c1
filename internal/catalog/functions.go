package catalog

import (
	"maps"
	"slices"

	"pgleap/plan"
)

// routine is a function in SQL or PL/pgSQL.
type routine struct {
	OID                                                int64
	Schema, Name, Arguments, Language, Body, Extension string
	PathSet                                            bool
}

// signature is how ALTER FUNCTION names it.
func (f routine) signature() string {
	return plan.Name{Schema: f.Schema, Name: f.Name}.String() + "(" + f.Arguments + ")"
}

// functionUses reads the functions that run without a session of an application, and scans their bodies for names
// that only a search_path finds. Bodies are read only where some function is used so; they are not kept.
func (r *reader) functionUses() error {
	uses, err := query[struct {
		Function                   int64
		Kind, Schema, Name, Member string
	}](r, "definitions_function_uses")
	if err != nil || len(uses) == 0 {
		return err
	}
	s, err := r.bodyScanner()
	if err != nil {
		return err
	}
	for _, u := range uses {
		f, ok := s.byOID[u.Function]
		if !ok {
			continue
		}
		use := plan.FunctionUse{
			Function: f.signature(), Extension: f.Extension, Kind: u.Kind, On: plan.Name{Schema: u.Schema, Name: u.Name}, Member: u.Member,
		}
		if found := s.bare(f, map[int64]bool{}); found != nil {
			use.Bare, use.Schemas, use.Unsure = found.names, found.schemas, found.unsure
			if found.in.OID != f.OID {
				use.Through = found.in.signature()
			}
		}
		if u.Kind == "generated column" {
			use.Changing = s.seen(f).changing
		}
		r.facts.Definitions.Functions = append(r.facts.Definitions.Functions, use)
	}
	return nil
}

// bodyScanner scans each body once.
type bodyScanner struct {
	byOID  map[int64]routine
	byName map[string][]routine
	known  knownNames
	cache  map[int64]bodyNames
}

func (r *reader) bodyScanner() (*bodyScanner, error) {
	functions, err := query[routine](r, "definitions_functions")
	if err != nil {
		return nil, err
	}
	names, err := query[struct{ Kind, Schema, Name string }](r, "definitions_names")
	if err != nil {
		return nil, err
	}
	s := &bodyScanner{
		byOID: map[int64]routine{}, byName: map[string][]routine{}, cache: map[int64]bodyNames{},
		known: knownNames{"relation": {}, "function": {}, "type": {}},
	}
	for _, f := range functions {
		s.byOID[f.OID] = f
		s.byName[f.Name] = append(s.byName[f.Name], f)
	}
	for _, n := range names {
		s.known[n.Kind][n.Name] = append(s.known[n.Kind][n.Name], n.Schema)
	}
	return s, nil
}

func (s *bodyScanner) seen(f routine) bodyNames {
	b, ok := s.cache[f.OID]
	if !ok {
		b = scanBody(f.Body, s.known)
		s.cache[f.OID] = b
	}
	return b
}

// bareNames are unqualified names in the body of one function.
type bareNames struct {
	in             routine
	names, schemas []string
	unsure         bool
}

// bare finds the first body with unqualified names: the function's own, else that of one that it calls.
func (s *bodyScanner) bare(f routine, visited map[int64]bool) *bareNames {
	if f.PathSet || visited[f.OID] {
		return nil
	}
	visited[f.OID] = true
	b := s.seen(f)
	if len(b.bare) > 0 {
		schemas := map[string]bool{}
		for _, in := range b.bare {
			for _, schema := range in {
				schemas[schema] = true
			}
		}
		return &bareNames{in: f, names: slices.Sorted(maps.Keys(b.bare)), schemas: slices.Sorted(maps.Keys(schemas)), unsure: b.unsure}
	}
	for _, name := range b.calls {
		for _, called := range s.byName[name] {
			if found := s.bare(called, visited); found != nil {
				found.unsure = found.unsure || b.unsure || len(s.byName[name]) > 1
				return found
			}
		}
	}
	return nil
}

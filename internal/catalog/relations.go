package catalog

import (
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// relations reads every relation of the user's, and of the tables what the role may not do with them.
func (r *reader) relations() error {
	rows, err := query[struct {
		OID                                                            int64
		Schema, Name, Kind, Persistence, Owner, Extension, Identity    string
		Partition, RLS, WithOIDs, Populated, Owned, Readable, Filtered bool
		Rows                                                           int64
	}](r, "relations")
	if err != nil {
		return err
	}
	f := &r.facts
	f.Relations = make([]plan.Relation, len(rows))
	r.index = make(map[uint32]int, len(rows))
	for i, row := range rows {
		rel := plan.Relation{
			Name: plan.Name{Schema: row.Schema, Name: row.Name}, OID: uint32(row.OID), Kind: row.Kind,
			Persistence: row.Persistence, Owner: row.Owner, Partition: row.Partition, Extension: row.Extension,
			Identity: row.Identity, RLS: row.RLS, WithOIDs: row.WithOIDs, Populated: row.Populated, Rows: row.Rows,
		}
		f.Relations[i], r.index[rel.OID] = rel, i
		if !rel.IsTable() && rel.Kind != "p" {
			continue
		}
		if !row.Owned {
			f.Role.NotOwned = append(f.Role.NotOwned, rel.Name.String())
		}
		if !row.Readable {
			f.Role.NotReadable = append(f.Role.NotReadable, rel.Name.String())
		}
		if row.Filtered {
			f.Role.Filtered = append(f.Role.Filtered, rel.Name.String())
		}
	}
	return nil
}

// edge ties two relations.
type edge struct{ Child, Parent int64 }

// inheritance reads the parents, and follows partitions up to their top-most root.
func (r *reader) inheritance() error {
	rows, err := query[edge](r, "inherits")
	if err != nil {
		return err
	}
	up := map[uint32]uint32{}
	for _, e := range rows {
		child, parent := r.relation(e.Child), r.relation(e.Parent)
		if child == nil || parent == nil {
			continue
		}
		child.Parents = append(child.Parents, parent.Name)
		if child.Partition {
			up[child.OID] = parent.OID
		}
	}
	for i := range r.facts.Relations {
		rel := &r.facts.Relations[i]
		top := rel.OID
		for next, ok := up[top]; ok; next, ok = up[top] {
			top = next
		}
		if top != rel.OID {
			root := r.relation(int64(top)).Name
			rel.Root = &root
		}
	}
	return nil
}

// columns reads the columns, and finds those whose type cannot be compared.
func (r *reader) columns() error {
	types, err := query[columnType](r, "types")
	if err != nil {
		return err
	}
	comparable := comparables(types)
	rows, err := query[struct {
		Relation, TypeOID               int64
		Name, Type, Identity, Generated string
		NotNull                         bool
	}](r, "columns")
	if err != nil {
		return err
	}
	for _, c := range rows {
		rel := r.relation(c.Relation)
		if rel == nil {
			continue
		}
		rel.Columns = append(rel.Columns, plan.Column{
			Name: c.Name, Type: c.Type, NotNull: c.NotNull, Identity: c.Identity, Generated: c.Generated,
		})
		// apply leaves generated columns out of the comparison
		if rel.Kind == "r" && c.Generated == "" && !comparable(c.TypeOID) {
			rel.NoEquality = append(rel.NoEquality, c.Name)
		}
	}
	return nil
}

// columnType is a type: comparable by itself, or as comparable as its parts.
type columnType struct {
	OID        int64
	Comparable bool
	Parts      []int64
}

// comparables returns the judge over types: what lookup_type_cache(TYPECACHE_EQ_OPR) decides in the server.
func comparables(types []columnType) func(int64) bool {
	byOID := make(map[int64]columnType, len(types))
	for _, t := range types {
		byOID[t.OID] = t
	}
	known := map[int64]bool{}
	var judge func(int64) bool
	judge = func(oid int64) bool {
		if answer, ok := known[oid]; ok {
			return answer
		}
		known[oid] = true // a composite may hold an array of itself
		t := byOID[oid]
		answer := t.Comparable || t.Parts != nil // a type without fields is equal to itself
		for _, part := range t.Parts {
			answer = answer && (t.Comparable || judge(part))
		}
		known[oid] = answer
		return answer
	}
	return judge
}

// identity judges which tables can publish updates and deletes, as CheckCmdReplicaIdentity does.
func (r *reader) disorder() error {
	rows, err := query[struct{ Relation int64 }](r, "disorder")
	for _, row := range rows {
		if rel := r.relation(row.Relation); rel != nil {
			rel.Disorder = true
		}
	}
	return err
}

func (r *reader) identity() error {
	rows, err := query[struct {
		Relation                                 int64
		Name                                     string
		PrimaryKey, Immediate, Chosen, Candidate bool
		Generated                                []string
		Width                                    int
	}](r, "identity")
	if err != nil {
		return err
	}
	for _, i := range rows {
		rel := r.relation(i.Relation)
		if rel == nil {
			continue
		}
		if !i.Immediate {
			rel.DeferrableKey = true
			continue
		}
		if i.PrimaryKey {
			rel.PrimaryKey = i.Name
		}
		if rel.Identity == "d" && i.PrimaryKey || rel.Identity == "i" && i.Chosen {
			rel.IdentityIndex, rel.IdentityGenerated = i.Name, i.Generated
		}
		// ordered by primary key first, then width: the first one is the best
		if i.Candidate && len(i.Generated) == 0 && rel.IdentityCandidate == "" {
			rel.IdentityCandidate = i.Name
		}
	}
	strict := r.facts.Version.Has(pgver.GeneratedIdentity)
	for i := range r.facts.Relations {
		rel := &r.facts.Relations[i]
		if rel.Kind != "r" {
			continue
		}
		if rel.Identity == "f" && strict {
			rel.IdentityGenerated = generated(rel.Columns)
		}
		rel.IdentityUsable = (rel.Identity == "f" || rel.IdentityIndex != "") && (!strict || len(rel.IdentityGenerated) == 0)
	}
	return nil
}

func generated(columns []plan.Column) []string {
	var out []string
	for _, c := range columns {
		if c.Generated != "" {
			out = append(out, c.Name)
		}
	}
	return out
}

// views reads what views are built on, and from it the order in which materialized views can be refreshed.
func (r *reader) views() error {
	rows, err := query[edge](r, "uses")
	if err != nil {
		return err
	}
	uses := map[uint32][]uint32{}
	for _, e := range rows {
		child, parent := r.relation(e.Child), r.relation(e.Parent)
		if child == nil || parent == nil {
			continue
		}
		child.Uses = append(child.Uses, parent.Name)
		uses[child.OID] = append(uses[child.OID], parent.OID)
	}
	depths := map[uint32]int{}
	var depth func(uint32) int
	depth = func(oid uint32) int {
		if d, ok := depths[oid]; ok {
			return d
		}
		depths[oid] = 0 // views cannot be built on themselves except by force
		deepest := 0
		for _, u := range uses[oid] {
			d := depth(u)
			if r.relation(int64(u)).Kind == "m" {
				d++
			}
			deepest = max(deepest, d)
		}
		depths[oid] = deepest
		return deepest
	}
	for i := range r.facts.Relations {
		if rel := &r.facts.Relations[i]; rel.Kind == "m" {
			rel.Depth = depth(rel.OID)
		}
	}
	return nil
}

func (r *reader) sizes() error {
	rows, err := query[struct{ Relation, Bytes, IndexBytes, Changes int64 }](r, "sizes")
	for _, s := range rows {
		if rel := r.relation(s.Relation); rel != nil {
			rel.Bytes, rel.IndexBytes, rel.Changes = s.Bytes, s.IndexBytes, s.Changes
		}
	}
	return err
}

func (r *reader) sequences() error {
	rows, err := query[struct {
		Schema, Name, Type, Extension            string
		Start, Increment, Min, Max, Cache, Owner int64
		Cycle, Readable                          bool
	}](r, "sequences")
	if err != nil {
		return err
	}
	for _, s := range rows {
		seq := plan.Sequence{
			Name: plan.Name{Schema: s.Schema, Name: s.Name}, Type: s.Type, Start: s.Start, Increment: s.Increment,
			Min: s.Min, Max: s.Max, Cache: s.Cache, Cycle: s.Cycle, Extension: s.Extension,
		}
		if owner := r.relation(s.Owner); owner != nil {
			name := owner.Name
			seq.OwnedBy = &name
		}
		r.facts.Sequences = append(r.facts.Sequences, seq)
		if !s.Readable && s.Extension == "" {
			r.facts.Role.SequencesNotReadable = append(r.facts.Role.SequencesNotReadable, seq.Name.String())
		}
	}
	return nil
}

func (r *reader) foreignKeys() error {
	rows, err := query[struct {
		Name          string
		Child, Parent int64
	}](r, "foreign_keys")
	for _, k := range rows {
		from, to := r.relation(k.Child), r.relation(k.Parent)
		if from != nil && to != nil {
			r.facts.ForeignKeys = append(r.facts.ForeignKeys, plan.ForeignKey{Name: k.Name, From: from.Name, To: to.Name})
		}
	}
	return err
}

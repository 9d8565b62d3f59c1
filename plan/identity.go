package plan

import "pgleap/internal/pgver"

// IdentityRepair gives a table a replica identity for as long as it is published.
type IdentityRepair struct {
	Table Name
	Index string // the unique index that identifies its rows; "" where the primary key or the whole row does
	is    string // behind "replica identity", while it is published
	was   string // behind "replica identity", before and after
	from  string // pg_class.relreplident before
}

// IdentityRepairs are the tables that --set-replica-identity mends, each in the cheapest way. A table for which
// there is no way is not among them: its blocker stays.
func IdentityRepairs(source Facts, sel Selection, o Options) []IdentityRepair {
	if !o.SetReplicaIdentity {
		return nil
	}
	var out []IdentityRepair
	for _, r := range sel.Published {
		if repair, ok := identityRepair(source.Version, r); ok && !identityServes(r) {
			out = append(out, repair)
		}
	}
	return out
}

// identityServes tells whether updates and deletes of the table can be published and found again.
func identityServes(r Relation) bool { return r.IdentityUsable && len(r.IdentityGenerated) == 0 }

func identityRepair(v pgver.Version, r Relation) (IdentityRepair, bool) {
	repair := IdentityRepair{Table: r.Name, from: r.Identity}
	switch r.Identity {
	case "n":
		repair.was = "nothing"
	case "f":
		repair.was = "full"
	case "i":
		// The index is gone or does not serve; pg_dump writes the first as the default. One that is there has
		// a generated column.
		repair.was = "default"
		if r.IdentityIndex != "" {
			repair.was = "using index " + QuoteIdent(r.IdentityIndex)
		}
	default:
		repair.was = "default"
	}
	switch {
	case r.PrimaryKey != "" && r.PrimaryKey == r.IdentityCandidate:
		repair.is = "default"
	case r.IdentityCandidate != "":
		repair.Index, repair.is = r.IdentityCandidate, "using index "+QuoteIdent(r.IdentityCandidate)
	case !fullServes(v, r):
		return repair, false
	default:
		repair.is = "full"
	}
	return repair, repair.is != repair.was
}

// fullServes tells whether REPLICA IDENTITY FULL would do for the table.
func fullServes(v pgver.Version, r Relation) bool {
	return len(r.NoEquality) == 0 && (r.Identity != "f" || len(r.IdentityGenerated) == 0) && (!v.Has(pgver.GeneratedIdentity) || !anyGenerated(r))
}

// Set is the statement that sets the identity, Back the one that puts the former one back.
func (r IdentityRepair) Set() string {
	return "alter table " + r.Table.String() + " replica identity " + r.is
}

// Back is the statement that takes Set back.
func (r IdentityRepair) Back() string {
	return "alter table " + r.Table.String() + " replica identity " + r.was
}

// Full tells whether the whole row identifies.
func (r IdentityRepair) Full() bool { return r.is == "full" }

// ProbeSet asks whether Set is done: 'done', 'absent', or a sentence.
func (r IdentityRepair) ProbeSet() string {
	return r.probe(QuoteLiteral("table "+r.Table.String()+" is gone"), "when "+r.holds()+" then 'done' when c.relreplident = "+QuoteLiteral(r.from)+
		" then 'absent' else "+QuoteLiteral(r.Table.String()+" has got another replica identity since it was planned"))
}

// ProbeBack asks whether Back is still to be done. An identity that somebody else has given meanwhile stays.
func (r IdentityRepair) ProbeBack() string {
	return r.probe("'done'", "when "+r.holds()+" then 'absent' else 'done'")
}

func (r IdentityRepair) probe(gone, rest string) string {
	return "select case when c.oid is null then " + gone + " " + rest + " end\n" +
		"from (select to_regclass(" + QuoteLiteral(r.Table.String()) + ")::oid) t (oid) left join pg_class c on c.oid = t.oid"
}

// holds is the condition that Set is in force.
func (r IdentityRepair) holds() string {
	if r.Index != "" {
		return "c.relreplident = 'i' and exists (select from pg_index i where i.indrelid = c.oid and i.indisreplident and i.indexrelid = to_regclass(" +
			QuoteLiteral(Name{r.Table.Schema, r.Index}.String()) + "))"
	}
	return "c.relreplident = '" + r.is[:1] + "'"
}

// identityRepairOf returns the repair of the table, where the operator asked for it and there is one.
func identityRepairOf(in input, r Relation) (IdentityRepair, bool) {
	for _, p := range IdentityRepairs(in.source, Selection{Published: []Relation{r}}, in.options) {
		return p, true
	}
	return IdentityRepair{}, false
}

package catalog

import "pgleap/plan"

// owners reads who owns what. Only the source's matter: what is on the target was made by our own walk, or is
// not the upgrade's.
func (r *reader) owners() error {
	if r.facts.Side != plan.Source {
		return nil
	}
	rows, err := query[struct{ Fact, Role, Schema, Object string }](r, "owners")
	if err != nil {
		return err
	}
	o := &r.facts.RoleDetails.OwnerFacts
	o.SchemaOwners = map[string]string{}
	for _, row := range rows {
		switch row.Fact {
		case "owns":
			o.Owned = append(o.Owned, plan.Ownership{Owner: row.Role, Schema: row.Schema, Object: row.Object})
		case "schema":
			o.SchemaOwners[row.Schema] = row.Role
		case "creates":
			o.MayCreate = append(o.MayCreate, plan.SchemaRole{Schema: row.Schema, Role: row.Role})
		case "tablespace":
			o.Tablespaces = append(o.Tablespaces, row.Object)
		case "wrapper":
			o.Wrappers = append(o.Wrappers, row.Object)
		case "grants":
			o.Grantors = append(o.Grantors, row.Role)
		}
	}
	if o.Powerful, err = query[plan.Powerful](r, "powerful"); err != nil {
		return err
	}
	return r.ownersLack()
}

// ownersLack reads the tables that their own owners may not use like owners.
func (r *reader) ownersLack() error {
	rows, err := query[struct {
		Schema, Name, Owner string
		Forced              bool
		Lacks               []string
	}](r, "owner_tables")
	o := &r.facts.RoleDetails.OwnerFacts
	for _, row := range rows {
		name := plan.Name{Schema: row.Schema, Name: row.Name}
		if row.Forced {
			o.Forced = append(o.Forced, name.String())
		}
		if len(row.Lacks) > 0 {
			o.OwnerLacks = append(o.OwnerLacks, plan.OwnerLacks{Table: name, Owner: row.Owner, Rights: row.Lacks})
		}
	}
	return err
}

package plan

import (
	"fmt"
	"slices"
)

// checkPrivileges names everything the two roles lack, each with the statement that gives it.
func checkPrivileges(in input) []Finding {
	return slices.Concat(sourcePrivileges(in), targetPrivileges(in), ownersLack(in))
}

func sourcePrivileges(in input) []Finding {
	role := in.source.Role
	if role.Superuser {
		return nil
	}
	var out []Finding
	name := QuoteIdent(role.Name)
	lacks := func(object, problem, fix, sql string) {
		out = append(out, Finding{Severity: Blocker, On: Source, Object: object, Problem: problem, Fix: fix, SQL: sql})
	}
	if !role.Replication {
		fix, sql := "give it the attribute", "alter role "+name+" replication;"
		if slices.Contains(in.source.Roles, "rds_replication") {
			fix, sql = "make it a member of rds_replication", "grant rds_replication to "+name+";"
		}
		lacks(name, "role "+name+" has no REPLICATION\nit can neither make a slot nor read one", fix, sql)
	}
	if !role.CreateOnDatabase {
		lacks(name, "role "+name+" may not create in the database\nit could not make the publication", "let it",
			"grant create on database "+QuoteIdent(in.source.Database)+" to "+name+";")
	}
	if in.options.AllTables {
		lacks(name, "role "+name+" is not a superuser\nonly one may publish all tables at once", "leave --all-tables out: pgleap then names every table", "")
	}
	out = append(out, tablePrivileges(in, name)...)
	hidden := set(role.SequencesNotReadable)
	for _, q := range in.selection.Sequences {
		if hidden[q.Name.String()] {
			lacks(q.Name.String(), fmt.Sprintf("role %s may not read sequence %s\nits position could not be carried over", name, said(q.Name)), "let it",
				fmt.Sprintf("grant usage on schema %s to %s; grant select on sequence %s to %s;", QuoteIdent(q.Name.Schema), name, q.Name, name))
		}
	}
	return out
}

// tablePrivileges looks at the tables that are published, copied in the switch, or fenced only. Ownership is lacked owner by owner: one membership mends
// all tables of an owner.
func tablePrivileges(in input, role string) []Finding {
	notOwned, notReadable, filtered := set(in.source.Role.NotOwned), set(in.source.Role.NotReadable), set(in.source.Role.Filtered)
	forced := set(in.source.RoleDetails.Forced)
	owned := map[string][]string{} // owner → tables
	var owners []string
	var out []Finding
	for _, r := range in.selection.Fenced() {
		table := r.Name.String()
		read := r.Published() || in.options.CopyInSwitch
		if notOwned[table] {
			if owned[r.Owner] == nil {
				owners = append(owners, r.Owner)
			}
			owned[r.Owner] = append(owned[r.Owner], table)
		}
		if read && notReadable[table] && !notOwned[table] { // an owner's membership brings SELECT, seldom not the schema's USAGE
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: table,
				Problem: fmt.Sprintf("role %s may not read %s\nits rows could not be copied", role, said(r.Name)), Fix: "let it",
				SQL: fmt.Sprintf("grant usage on schema %s to %s; grant select on %s to %s;", QuoteIdent(r.Name.Schema), role, table, role),
			})
		}
		if read && filtered[table] && (!notOwned[table] || forced[table]) { // its policies do not hold for an owner, unless they are forced
			out = append(out, Finding{
				Severity: Blocker, On: Source, Object: table,
				Problem: fmt.Sprintf("row level security hides rows of %s from role %s\nthey would be MISSING on the target", said(r.Name), role),
				Fix:     "let it see all rows", SQL: "alter role " + role + " bypassrls;",
			})
		}
	}
	for _, owner := range owners {
		tables := owned[owner]
		which := OneLine(tables[0])
		if len(tables) > 1 {
			which = fmt.Sprintf("%s and %d more tables", which, len(tables)-1)
		}
		f := Finding{
			Severity: Blocker, On: Source, Object: QuoteIdent(owner),
			Problem: fmt.Sprintf("role %s does not own %s of %s\nonly an owner can publish a table and fence it", role, which, ident(owner)),
			Fix:     "make it a member of the owner", SQL: membership(in.source, owner),
		}
		if slices.Contains(in.source.Role.Superusers, owner) {
			f.Problem += fmt.Sprintf("; %s is a superuser, and a member of it as mighty", ident(owner))
			f.Fix, f.SQL = "give the tables an owner that is no superuser (alter table … owner to …), or connect to the source as a superuser", ""
		}
		out = append(out, f)
	}
	return out
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

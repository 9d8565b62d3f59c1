package plan

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pgver"
)

// services are the roles of managed services whose members are no superusers and may do some of what only
// superusers may elsewhere.
var services = []string{"rds_superuser", "cloudsqlsuperuser", "azure_pg_admin"}

// membership is the statement that makes the connected role a member with everything that members can have.
func membership(f Facts, of string) string {
	role := QuoteIdent(f.Role.Name)
	switch {
	case f.Version.Has(pgver.SetOption):
		return fmt.Sprintf("grant %s to %s with inherit true, set true;", QuoteIdent(of), role)
	case slices.Contains(f.Role.CanSet, of):
		return "alter role " + role + " inherit;" // a member that does not inherit
	}
	return fmt.Sprintf("grant %s to %s;", QuoteIdent(of), role)
}

func targetPrivileges(in input) []Finding {
	role := in.target.Role
	if role.Superuser {
		return nil
	}
	var out []Finding
	name := QuoteIdent(role.Name)
	lacks := func(problem, fix, sql string) {
		out = append(out, Finding{Severity: Blocker, On: Target, Object: name, Problem: problem, Fix: fix, SQL: sql})
	}
	if !role.CreateSubscription {
		if in.target.Version.Has(pgver.CreateSubscription) {
			lacks("role "+name+" may not make a subscription", "make it a member of pg_create_subscription", "grant pg_create_subscription to "+name+";")
		} else {
			lacks(fmt.Sprintf("role %s is not a superuser\nin PostgreSQL %d only one may make a subscription", name, in.target.Version.Major()),
				"connect to the target as a superuser", "alter role "+name+" superuser;")
		}
	}
	if !role.CreateOnDatabase {
		lacks("role "+name+" may not create in the target's database", "let it", "grant create on database "+QuoteIdent(in.target.Database)+" to "+name+";")
	}
	if role.PublicOwner != "" && !role.OwnsPublic && slices.Contains(in.source.Schemas, "public") && !slices.Contains(in.selection.Schemas, "public") {
		fix, sql := ownPublic(in.target)
		lacks(fmt.Sprintf("role %s does not own schema public of the target\nit could not give its privileges as they are on the source, nor hand over what lives in it", name), fix, sql)
	}
	for _, space := range in.source.RoleDetails.Tablespaces {
		if slices.Contains(role.NoTablespaces, space) {
			lacks(fmt.Sprintf("role %s may not create in tablespace %s\nwhat is in it on the source could not be made", name, ident(space)), "let it",
				"grant create on tablespace "+QuoteIdent(space)+" to "+name+";")
		}
	}
	for _, wrapper := range in.source.RoleDetails.Wrappers {
		if slices.Contains(role.NoWrappers, wrapper) {
			lacks(fmt.Sprintf("role %s may not use foreign data wrapper %s\nits servers could not be made", name, ident(wrapper)), "let it",
				"grant usage on foreign data wrapper "+QuoteIdent(wrapper)+" to "+name+";")
		}
	}
	out = append(out, targetOwners(in)...)
	out = append(out, powerful(in)...)
	if forced := selected(in, in.source.RoleDetails.Forced); !role.BypassRLS && len(forced) > 0 {
		lacks(fmt.Sprintf("row level security of %s holds for its owner too\nreplication as role %s would stop at it", someNames(forced), name), "let it pass policies", "alter role "+name+" bypassrls;")
	}
	return out
}

// ownPublic says how a role gets to own schema public: from 15 on it belongs to whoever owns the database.
func ownPublic(target Facts) (fix, sql string) {
	role, owner := target.Role, target.Role.PublicOwner
	switch {
	case owner == "pg_database_owner" && !slices.Contains(role.Superusers, role.DatabaseOwner):
		return "make it a member of the database's owner, to whom it belongs", membership(target, role.DatabaseOwner)
	case owner == "pg_database_owner":
		return "make it the owner of the database, to whom it belongs", "alter database " + QuoteIdent(target.Database) + " owner to " + QuoteIdent(role.Name) + ";"
	case slices.Contains(role.Superusers, owner):
		return "give the schema to it", "alter schema public owner to " + QuoteIdent(role.Name) + ";"
	}
	return "make it a member of the schema's owner", membership(target, owner)
}

// targetOwners looks whether the role can hand every object to its owner, and use it as one. A role that is
// missing on the target is found by the check of the roles.
func targetOwners(in input) []Finding {
	role, name := in.target.Role, QuoteIdent(in.target.Role.Name)
	var out []Finding
	for _, o := range oneEach(in) {
		if !slices.Contains(in.target.Roles, o.Owner) || o.Owner == role.Name {
			continue
		}
		f := Finding{Severity: Blocker, On: Target, Object: QuoteIdent(o.Owner)}
		switch {
		case slices.Contains(role.Superusers, o.Owner):
			f.Problem = fmt.Sprintf("%s belongs to %s, a superuser of the target\nonly a superuser can give anything to a superuser", OneLine(o.Object), ident(o.Owner))
			f.Fix = "on the source, give what it owns to a role that is no superuser (alter … owner to …), or connect to the target as a superuser"
		case !slices.Contains(role.MemberOf, o.Owner) || !slices.Contains(role.CanSet, o.Owner):
			lacks, so := notWholly(role, o.Owner)
			f.Problem = fmt.Sprintf("role %s %s, to whom %s belongs\n%s", name, lacks, OneLine(o.Object), so)
			f.Fix, f.SQL = "make it a member", membership(in.target, o.Owner)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// notWholly says what a membership lacks, and what follows.
func notWholly(role Role, owner string) (lacks, so string) {
	const give, write = "give it what it owns", "write into its tables for the subscription"
	switch {
	case slices.Contains(role.CanSet, owner):
		return "is a member of " + ident(owner) + " without its privileges", "it could not " + write
	case slices.Contains(role.MemberOf, owner):
		return "has the privileges of " + ident(owner) + " and may not SET ROLE to it", "it could not " + give
	}
	return "is not a member of " + ident(owner), "it could neither " + give + " nor " + write
}

// oneEach returns one object of each owner, by owner; who only passed privileges on stands there too.
func oneEach(in input) []Ownership {
	var out []Ownership
	all := owned(in.source, in.selection)
	for _, g := range in.source.RoleDetails.Grantors {
		all = append(all, Ownership{Owner: g, Object: "a privilege that was passed on"})
	}
	if in.options.CopyInSwitch {
		for _, o := range in.source.Definitions.LargeObjects.Owners {
			all = append(all, Ownership{Owner: o, Object: "a large object"})
		}
	}
	for _, o := range all {
		if !slices.ContainsFunc(out, func(seen Ownership) bool { return seen.Owner == o.Owner }) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Ownership) int { return strings.Compare(a.Owner, b.Owner) })
	return out
}

// powerful tells what the role could not make. A service lets its own administrators do some of it.
func powerful(in input) []Finding {
	severity, fix := Blocker, "connect to the target as a superuser, or drop it on the source"
	if slices.ContainsFunc(services, func(s string) bool { return slices.Contains(in.target.Role.MemberOf, s) }) {
		severity, fix = Warning, "see whether the service lets its administrators do it; where it does not, drop it on the source"
	}
	var out []Finding
	for _, p := range in.source.RoleDetails.Powerful {
		if slices.Contains(in.selection.Schemas, p.Schema) {
			continue
		}
		out = append(out, Finding{
			Severity: severity, On: Target, Object: p.Object,
			Problem: fmt.Sprintf("%s: %s\nrole %s is none, so the definitions could not be loaded", OneLine(p.Object), OneLine(p.Why), QuoteIdent(in.target.Role.Name)), Fix: fix,
		})
	}
	return out
}

// ownersLack tells of tables whose owners were taken rights: as a plain role, apply has no more than they.
func ownersLack(in input) []Finding {
	if in.target.Role.Superuser {
		return nil
	}
	published := map[string]bool{}
	for _, r := range in.selection.Published {
		published[r.Name.String()] = true
	}
	var out []Finding
	for _, l := range in.source.RoleDetails.OwnerLacks {
		if !published[l.Table.String()] {
			continue
		}
		rights := strings.Join(l.Rights, ", ")
		out = append(out, Finding{
			Severity: Blocker, On: Source, Object: l.Table.String(),
			Problem: fmt.Sprintf("owner %s of %s may not %s\nreplication to the target works without superuser, with the owners' rights, and would stop there", ident(l.Owner), said(l.Table), rights),
			Fix:     "give it back to the owner, or connect to the target as a superuser",
			SQL:     fmt.Sprintf("grant %s on %s to %s;", rights, l.Table, QuoteIdent(l.Owner)),
		})
	}
	return out
}

// selected returns those of the tables that belong to the upgrade.
func selected(in input, tables []string) []string {
	all := map[string]bool{}
	for _, r := range in.selection.Fenced() {
		all[r.Name.String()] = true
	}
	return slices.DeleteFunc(slices.Clone(tables), func(t string) bool { return !all[t] })
}

// someNames is the first name and the number of the others.
func someNames(names []string) string {
	if len(names) == 1 {
		return OneLine(names[0])
	}
	return fmt.Sprintf("%s and %d more", OneLine(names[0]), len(names)-1)
}

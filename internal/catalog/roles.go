package catalog

import (
	"context"
	"fmt"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// roleDetails reads the roles with what belongs to them.
func (r *reader) roleDetails() error {
	for _, read := range []func() error{r.roleAttributes, r.memberships, r.passwordKinds, r.roleSettings} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) roleAttributes() error {
	rows, err := query[struct {
		Name, ValidUntil, Comment                           string
		Bootstrap, Superuser, Inherit, CreateRole, CreateDB bool
		Login, Replication, BypassRLS, Connects, Grantable  bool
		ConnectionLimit                                     int
	}](r, "role_details")
	if err != nil {
		return err
	}
	f := &r.facts.RoleDetails
	for _, row := range rows {
		if row.Grantable && r.facts.Side == plan.Target {
			f.Grantable = append(f.Grantable, row.Name)
		}
		if strings.HasPrefix(row.Name, "pg_") {
			continue
		}
		f.Roles = append(f.Roles, plan.RoleDetail{
			Name: row.Name, Bootstrap: row.Bootstrap, Superuser: row.Superuser, Inherit: row.Inherit, CreateRole: row.CreateRole,
			CreateDB: row.CreateDB, Login: row.Login, Replication: row.Replication, BypassRLS: row.BypassRLS,
			ConnectionLimit: row.ConnectionLimit, ValidUntil: row.ValidUntil, Comment: row.Comment, Connects: row.Connects,
			Password: plan.PasswordUnknown,
		})
	}
	return nil
}

func (r *reader) memberships() error {
	rows, err := query[struct {
		Member, Role        string
		Admin, Inherit, Set bool
	}](r, "role_members")
	of := r.roleIndex()
	for _, row := range rows {
		if detail := of[row.Member]; detail != nil {
			detail.MemberOf = append(detail.MemberOf, plan.Membership{Role: row.Role, Admin: row.Admin, Inherit: row.Inherit, Set: row.Set})
		}
	}
	return err
}

func (r *reader) roleIndex() map[string]*plan.RoleDetail {
	of := map[string]*plan.RoleDetail{}
	for i := range r.facts.RoleDetails.Roles {
		of[r.facts.RoleDetails.Roles[i].Name] = &r.facts.RoleDetails.Roles[i]
	}
	return of
}

// passwordKinds asks the server what kind of password a role has: what it stores of it stays there.
func (r *reader) passwordKinds() error {
	may, err := list[bool](r, "passwords", `select has_column_privilege('pg_authid', 'rolpassword', 'select')`)
	if err != nil || !may[0] {
		return err
	}
	rows, err := query[struct{ Name, Kind string }](r, "role_passwords")
	of := r.roleIndex()
	for _, row := range rows {
		if detail := of[row.Name]; detail != nil {
			detail.Password = row.Kind
		}
	}
	return err
}

// roleSettings reads what ALTER ROLE and ALTER DATABASE have set, and on the target what may be set.
func (r *reader) roleSettings() (err error) {
	f := &r.facts.RoleDetails
	if f.Settings, err = query[plan.RoleSetting](r, "role_settings"); err != nil || r.facts.Side != plan.Target {
		return err
	}
	owns, err := list[bool](r, "database's owner", `select pg_has_role(datdba, 'usage') from pg_database where datname = current_database()`)
	if err != nil {
		return err
	}
	f.OwnsDatabase = owns[0]
	rows, err := query[struct {
		Name string
		May  bool
	}](r, "parameters")
	f.Parameters = make(map[string]bool, len(rows))
	for _, row := range rows {
		f.Parameters[row.Name] = row.May
	}
	return err
}

// roleMarks are what differs between majors about roles.
func roleMarks(v pgver.Version) []string {
	administers, inherit, set, granted := "me.rolcreaterole and not r.rolsuper", "m.rolinherit", "true", "false"
	if v.Has(pgver.RoleAdministration) {
		administers, inherit, set = "false", "a.inherit_option", "a.set_option"
	}
	if v.Has(pgver.ParameterPrivileges) {
		granted = "has_parameter_privilege(s.name, 'set')"
	}
	return []string{"{{administers}}", administers, "{{inherit}}", inherit, "{{set}}", set, "{{granted}}", granted}
}

// ReadRoles reads of a server's facts only what concerns roles and settings.
func ReadRoles(ctx context.Context, q pg.Querier, side plan.Side) (plan.Facts, error) {
	r := &reader{ctx: ctx, q: q, facts: plan.Facts{Side: side}}
	for _, step := range []func() error{r.server, r.role, r.roles, r.roleDetails} {
		if err := step(); err != nil {
			return plan.Facts{}, fmt.Errorf("read the roles of the %s: %w", side, err)
		}
	}
	return r.facts, nil
}

package plan

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"pgleap/internal/pgver"
)

// roleWork is what there is to do about roles and settings. What is done is decided by the source and by what
// the target's role may do, not by what the target has: what is there already is left as it is when the time
// comes, so that a plan stays true while the run for another database of the cluster makes the same roles.
type roleWork struct {
	in        input
	carried   []RoleDetail // by name
	isCarried map[string]bool
	used      map[string]bool
	target    map[string]RoleDetail
}

func newRoleWork(in input) roleWork {
	w := roleWork{in: in, used: set(in.source.RolesUsed), target: byName(in.target.RoleDetails.Roles), isCarried: map[string]bool{}}
	source := byName(in.source.RoleDetails.Roles)
	var carry func(string)
	carry = func(name string) {
		if w.isCarried[name] || strings.HasPrefix(name, "pg_") {
			return
		}
		r, ok := source[name]
		if !ok {
			r = RoleDetail{Name: name, Inherit: true, ConnectionLimit: -1, Password: PasswordUnknown}
		}
		w.isCarried[name] = true
		w.carried = append(w.carried, r)
		for _, m := range r.MemberOf {
			if !ofService(m.Role) {
				carry(m.Role)
			}
		}
	}
	for _, name := range in.source.RolesUsed {
		carry(name)
	}
	for _, r := range in.source.RoleDetails.Roles {
		if r.Connects && !r.Bootstrap && r.Name != in.source.Role.Name && !ofService(r.Name) {
			carry(r.Name)
		}
	}
	slices.SortFunc(w.carried, func(a, b RoleDetail) int { return strings.Compare(a.Name, b.Name) })
	return w
}

func byName(roles []RoleDetail) map[string]RoleDetail {
	m := make(map[string]RoleDetail, len(roles))
	for _, r := range roles {
		m[r.Name] = r
	}
	return m
}

// ofService tells whether a managed service gives a role that name: another service, or a server of one's
// own, can neither make it nor use it.
func ofService(name string) bool {
	return slices.Contains([]string{"rdsadmin", "rdsrepladmin", "rdstopmgr", "rdsproxyadmin", "azuresu"}, name) ||
		slices.ContainsFunc([]string{"rds_", "cloudsql", "alloydb", "azure_"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func (w roleWork) onTarget(name string) bool { return slices.Contains(w.in.target.Roles, name) }

// creates tells whether --roles makes the role if it is missing. The roles by which pgleap is connected and
// those that made the clusters are there by nature, and no work for us.
func (w roleWork) creates(name string) bool {
	there := w.onTarget(name) && (name == w.in.target.Role.Name || name == w.in.source.Role.Name || w.target[name].Bootstrap)
	return w.in.options.Roles && w.isCarried[name] && !ofService(name) && !there
}

func (w roleWork) mayCreate() bool {
	return w.in.target.Role.Superuser || w.target[w.in.target.Role.Name].CreateRole
}

// mayGrant tells whether the target's role may give that role to others and change it: a role that it makes
// itself, it may.
func (w roleWork) mayGrant(name string) bool {
	return w.in.target.Role.Superuser || slices.Contains(w.in.target.RoleDetails.Grantable, name) || !w.onTarget(name) && w.creates(name)
}

// mayCopyPasswords: the statement that holds what the server stores of a password must not stand in its log,
// and only a superuser can keep it out.
func (w roleWork) mayCopyPasswords() bool { return w.in.target.Role.Superuser }

func (r RoleDetail) hasPassword() bool {
	return r.Password == PasswordMD5 || r.Password == PasswordSCRAM
}

// attribute is one of CREATE ROLE's that a role has or has not.
type attribute struct {
	yes, no string
	of      func(RoleDetail) bool
	common  bool // every role may be given it by whoever may create roles
	own     bool // from 16 on, by whoever has it
}

var attributes = []attribute{
	{"login", "nologin", func(r RoleDetail) bool { return r.Login }, true, true},
	{"superuser", "nosuperuser", func(r RoleDetail) bool { return r.Superuser }, false, false},
	{"createrole", "nocreaterole", func(r RoleDetail) bool { return r.CreateRole }, true, true},
	{"createdb", "nocreatedb", func(r RoleDetail) bool { return r.CreateDB }, false, true},
	{"replication", "noreplication", func(r RoleDetail) bool { return r.Replication }, false, true},
	{"bypassrls", "nobypassrls", func(r RoleDetail) bool { return r.BypassRLS }, false, true},
	{"inherit", "noinherit", func(r RoleDetail) bool { return r.Inherit }, true, true},
}

// mayGive tells whether the target's role may give the attribute to a role that it creates.
func (w roleWork) mayGive(a attribute) bool {
	if w.in.target.Role.Superuser || a.common {
		return true
	}
	if !w.in.target.Version.Has(pgver.RoleAdministration) {
		return a.yes == "createdb"
	}
	return a.own && a.of(w.target[w.in.target.Role.Name])
}

// given returns the attributes of CREATE ROLE that are not its defaults, and those that are left out because
// the target's role may not give them.
func (w roleWork) given(r RoleDetail) (given, lacking []string) {
	for _, a := range attributes {
		has := a.of(r)
		switch {
		case has == (a.yes == "inherit"): // the default
		case !has:
			given = append(given, a.no)
		case w.mayGive(a):
			given = append(given, a.yes)
		default:
			lacking = append(lacking, a.yes)
		}
	}
	return append(given, limits(r)...), lacking
}

func limits(r RoleDetail) (out []string) {
	if r.ConnectionLimit != -1 {
		out = append(out, fmt.Sprintf("connection limit %d", r.ConnectionLimit))
	}
	if r.ValidUntil != "" {
		out = append(out, "valid until "+constant(r.ValidUntil))
	}
	return out
}

// PasswordMark stands in the plan where what the source stores of a role's password is put at the last moment.
func PasswordMark(role string) string { return "{{password:" + url.PathEscape(role) + "}}" }

var passwordMark = regexp.MustCompile(`\{\{password:([^{}']*)\}\}`)

// PasswordRoles are the roles whose passwords have a mark in the text.
func PasswordRoles(text string) (roles []string) {
	for _, m := range passwordMark.FindAllStringSubmatch(text, -1) {
		if name, err := url.PathUnescape(m[1]); err == nil {
			roles = append(roles, name)
		}
	}
	return roles
}

// createRole is the statement by which a reader, or pgleap, makes the role.
func (w roleWork) createRole(r RoleDetail, password bool) string {
	given, _ := w.given(r)
	if password && r.hasPassword() && w.mayCopyPasswords() {
		given = append(given, "password '"+PasswordMark(r.Name)+"'")
	}
	return strings.Join(append([]string{"create role " + QuoteIdent(r.Name)}, given...), " ") + ";"
}

// grant is the statement that makes a role a member of another; options that are the default are not said.
func (w roleWork) grant(member RoleDetail, m Membership) string {
	text := "grant " + QuoteIdent(m.Role) + " to " + QuoteIdent(member.Name)
	if !w.in.target.Version.Has(pgver.RoleAdministration) {
		if m.Admin {
			text += " with admin option"
		}
		return text + ";"
	}
	var with []string
	if m.Admin {
		with = append(with, "admin true")
	}
	if m.Inherit != member.Inherit {
		with = append(with, fmt.Sprintf("inherit %t", m.Inherit))
	}
	if !m.Set {
		with = append(with, "set false")
	}
	if len(with) > 0 {
		text += " with " + strings.Join(with, ", ")
	}
	return text + ";"
}

// RoleStatements is what --roles and --settings send to the target, each list in one transaction.
type RoleStatements struct {
	Roles, Memberships, Settings []string
	ByHand                       string   // Roles without passwords, for psql
	Missing                      []string // the roles that the target lacked when it was read
}

// RoleStatementsFor decides what is done about roles and settings; without the options, nothing.
func RoleStatementsFor(source, target Facts, o Options) RoleStatements {
	w := newRoleWork(input{source: source, target: target, options: o})
	var out RoleStatements
	var byHand []string
	for _, r := range w.carried {
		if !w.creates(r.Name) {
			continue
		}
		if !w.onTarget(r.Name) {
			out.Missing = append(out.Missing, r.Name)
		}
		out.Roles = append(out.Roles, w.unlessThere(r, true))
		byHand = append(byHand, w.unlessThere(r, false))
		if r.hasPassword() {
			byHand = append(byHand, `-- and its password: \password `+ident(r.Name))
		}
	}
	out.ByHand = strings.Join(byHand, "\n")
	if o.Roles {
		out.Memberships = w.membershipStatements()
	}
	for _, s := range w.settings() {
		if w.sets(s) {
			out.Settings = append(out.Settings, s.SetStatement(target.Database))
		}
	}
	return out
}

// unlessThere is the statement that makes the role where the target has none of that name.
func (w roleWork) unlessThere(r RoleDetail, password bool) string {
	statements := []string{w.createRole(r, password)}
	if r.Comment != "" {
		statements = append(statements, "comment on role "+QuoteIdent(r.Name)+" is "+constant(r.Comment)+";")
	}
	return provided("not exists (select from pg_roles where rolname = "+constant(r.Name)+")", statements)
}

// membershipStatements give the carried roles their memberships. A role that is no superuser has to become a
// member of the owners that it makes: only then may it give them what is theirs.
func (w roleWork) membershipStatements() []string {
	var out []string
	give := func(member RoleDetail, m Membership, unless string) {
		out = append(out, provided(fmt.Sprintf("not exists (select from pg_auth_members where roleid = %s::regrole and member = %s::regrole%s)",
			constant(QuoteIdent(m.Role)), constant(QuoteIdent(member.Name)), unless), []string{w.grant(member, m)}))
	}
	for _, r := range w.carried {
		for _, m := range r.MemberOf {
			if (w.onTarget(r.Name) || w.creates(r.Name)) && w.mayGrantMembership(m.Role) {
				give(r, m, "")
			}
		}
	}
	me := w.in.target.Role
	if me.Superuser {
		return out
	}
	detail, unless := w.target[me.Name], ""
	detail.Name = me.Name
	if w.in.target.Version.Has(pgver.RoleAdministration) {
		unless = " and set_option" // whoever makes a role is its member at once, with ADMIN alone
	}
	for _, r := range w.carried {
		if w.used[r.Name] && w.creates(r.Name) && !slices.Contains(me.MemberOf, r.Name) {
			give(detail, Membership{Role: r.Name, Inherit: true, Set: true}, unless)
		}
	}
	return out
}

// mayGrantMembership: the role is there, or will be, and the target's role may give it.
func (w roleWork) mayGrantMembership(role string) bool {
	there := w.onTarget(role) || w.creates(role) || strings.HasPrefix(role, "pg_")
	return there && w.mayGrant(role)
}

// provided runs statements where a condition holds, in psql as in pgleap.
func provided(condition string, statements []string) string {
	body := " begin\n  if " + condition + " then\n    " + strings.Join(statements, "\n    ") + "\n  end if;\nend "
	tag := "$pgleap$"
	for strings.Contains(body, tag) {
		tag = tag[:len(tag)-1] + "_$"
	}
	return "do " + tag + body + tag + ";"
}

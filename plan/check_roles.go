package plan

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pgver"
)

// roleChecks are about roles and the settings of roles and of the database.
var roleChecks = []check{
	{CheckInfo{
		"roles", "The target has the roles, and their settings", Blocker, "PC",
		"pg_dump carries neither roles nor memberships, passwords, ALTER ROLE … SET and ALTER DATABASE … SET. Owners and grants need their roles; clients need a role to log in with, the rights they have as its members, and its settings.",
		"Let pgleap copy them (--roles, --settings), or create them on the target.",
	}, checkRoles},
}

func checkRoles(in input) []Finding {
	w := newRoleWork(in)
	found := slices.Concat(w.missing(), w.differing(), w.memberships(), w.passwords())
	if in.resumed() { // the settings come at the end of sync, and what is announced is under way
		return slices.DeleteFunc(found, func(f Finding) bool { return f.Severity == Info })
	}
	return append(found, w.settingFindings()...)
}

// RolesAtSwitch judges roles and settings when everything is done that the options asked for: what is missing
// now stays missing. Both sides have to be read anew.
func RolesAtSwitch(source, target Facts, o Options) []Finding {
	asked := o
	o.Roles, o.Settings = false, false
	w := newRoleWork(input{source: source, target: target, options: o})
	found := slices.Concat(w.missing(), w.differing(), w.memberships(), w.passwords(), w.settingFindings())
	for i := range found {
		found[i].Check = "roles"
		if missing := found[i].Problem; asked.Roles && strings.Contains(missing, isMissing) {
			found[i].Severity = Blocker
		}
	}
	return found
}

const isMissing = " is missing on the target\n"

// missing are the carried roles that the target does not have.
func (w roleWork) missing() (out []Finding) {
	refused := false
	for _, r := range w.carried {
		if w.onTarget(r.Name) {
			continue
		}
		f := Finding{Severity: Warning, On: Target, Object: QuoteIdent(r.Name), Problem: "role " + ident(r.Name) + isMissing + w.needed(r)}
		switch {
		case w.creates(r.Name) && w.mayCreate():
			f.Severity, f.Fix = Info, "nothing: pgleap creates it at the start of sync"+w.withWhat(r)
			out = append(append(out, f), w.notGiven(r)...)
			continue
		case w.used[r.Name]:
			f.Severity = Blocker
		}
		f.Fix = "let pgleap create it with its memberships and its password (--roles), or paste this and set its password with \\password"
		f.SQL = w.createRole(r, false)
		if refused = refused || w.creates(r.Name); refused {
			f.Fix = "let a role that may create roles do it"
		}
		out = append(out, f)
	}
	if refused {
		me := QuoteIdent(w.in.target.Role.Name)
		out = append(out, Finding{
			Severity: Blocker, On: Target, Object: me, Problem: "role " + ident(w.in.target.Role.Name) + " may not create roles\n--roles could not be carried out",
			Fix: "let it", SQL: "alter role " + me + " createrole;",
		})
	}
	return out
}

func (w roleWork) needed(r RoleDetail) string {
	switch {
	case w.used[r.Name]:
		return "on the source it owns something or has rights; definitions that name it would fail"
	case r.Login:
		return "on the source it may log in to this database; its clients could not"
	}
	return "on the source others are its members; they would lack what it gives them"
}

// withWhat tells a reader what comes with a role that is created.
func (w roleWork) withWhat(r RoleDetail) string {
	given, _ := w.given(r)
	if r.hasPassword() && w.mayCopyPasswords() {
		given = append(given, "its password ("+r.Password+")")
	}
	for _, m := range r.MemberOf {
		given = append(given, "member of "+ident(m.Role))
	}
	if len(given) == 0 {
		return ""
	}
	return ", with " + strings.Join(given, ", ")
}

// notGiven tells of attributes that the role is created without.
func (w roleWork) notGiven(r RoleDetail) []Finding {
	_, lacking := w.given(r)
	if len(lacking) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Warning, On: Target, Object: QuoteIdent(r.Name),
		Problem: fmt.Sprintf("role %s has %s on the source, which role %s may not give on the target\nit is created without", ident(r.Name), strings.Join(lacking, ", "), ident(w.in.target.Role.Name)),
		Fix:     "let a superuser of the target give it after sync has begun, or connect as one", SQL: "alter role " + QuoteIdent(r.Name) + " " + strings.Join(lacking, " ") + ";",
	}}
}

// differing are the roles of both sides whose attributes differ. The roles by which pgleap is connected differ
// on purpose.
func (w roleWork) differing() (out []Finding) {
	for _, r := range w.carried {
		t, ok := w.target[r.Name]
		if !ok || r.Name == w.in.source.Role.Name || r.Name == w.in.target.Role.Name || r.Bootstrap || t.Bootstrap {
			continue
		}
		here, there, change := differences(r, t)
		if len(change) == 0 {
			continue
		}
		out = append(out, Finding{
			Severity: Warning, On: Target, Object: QuoteIdent(r.Name),
			Problem: fmt.Sprintf("role %s differs: on the source %s; on the target %s\nits clients could do more or less than now; a role that is there is left as it is", ident(r.Name), strings.Join(here, ", "), strings.Join(there, ", ")),
			Fix:     "make it the same", SQL: "alter role " + QuoteIdent(r.Name) + " " + strings.Join(change, " ") + ";",
		})
	}
	return out
}

// differences says what differs between two roles, and what would make the second like the first.
func differences(source, target RoleDetail) (here, there, change []string) {
	word := func(a attribute, r RoleDetail) string {
		if a.of(r) {
			return a.yes
		}
		return a.no
	}
	for _, a := range attributes {
		if a.of(source) != a.of(target) {
			here, there, change = append(here, word(a, source)), append(there, word(a, target)), append(change, word(a, source))
		}
	}
	if source.ConnectionLimit != target.ConnectionLimit {
		text := fmt.Sprintf("connection limit %d", source.ConnectionLimit)
		here, there, change = append(here, text), append(there, fmt.Sprintf("connection limit %d", target.ConnectionLimit)), append(change, text)
	}
	if source.ValidUntil != target.ValidUntil {
		until := func(v string) string {
			if v == "" {
				v = "infinity"
			}
			return "valid until " + constant(v)
		}
		here, there, change = append(here, until(source.ValidUntil)), append(there, until(target.ValidUntil)), append(change, until(source.ValidUntil))
	}
	return here, there, change
}

// memberships are those that the target lacks, or has with other options.
func (w roleWork) memberships() (out []Finding) {
	for _, r := range w.carried {
		if w.in.options.Roles && !w.onTarget(r.Name) && !w.creates(r.Name) {
			continue
		}
		for _, m := range r.MemberOf {
			if f, ok := w.membership(r, m); ok {
				out = append(out, f)
			}
		}
	}
	return out
}

func (w roleWork) membership(r RoleDetail, m Membership) (Finding, bool) {
	has := w.target[r.Name].MemberOf
	i := slices.IndexFunc(has, func(t Membership) bool { return t.Role == m.Role })
	f := Finding{
		Severity: Warning, On: Target, Object: QuoteIdent(r.Name), SQL: w.grant(r, m), Fix: "make it a member",
		Problem: fmt.Sprintf("role %s is not a member of %s on the target\nit would lack the rights it has by that", ident(r.Name), ident(m.Role)),
	}
	switch {
	case i >= 0 && (has[i].Admin || !m.Admin) && (has[i].Set || !m.Set):
		return f, false
	case i >= 0:
		f.Problem = fmt.Sprintf("role %s is a member of %s with less than on the source (ADMIN or SET)\na membership that is there is left as it is", ident(r.Name), ident(m.Role))
		f.Fix = "give it the same"
	case !w.in.options.Roles:
		f.Fix = "let pgleap do it (--roles), or make it a member"
	case w.mayGrantMembership(m.Role):
		if !w.onTarget(r.Name) { // told with the role
			return f, false
		}
		f.Severity, f.SQL, f.Fix = Info, "", "nothing: pgleap makes it one at the start of sync"
	case ofService(m.Role):
		f.Fix = "see which role of the target stands for it, and make it a member of that"
		f.SQL = ""
	default:
		f.Problem = fmt.Sprintf("role %s is not a member of %s on the target, and role %s may not make it one\nit would lack the rights it has by that", ident(r.Name), ident(m.Role), ident(w.in.target.Role.Name))
		f.Fix = "let a role do it that administers " + ident(m.Role)
	}
	return f, true
}

// passwords are told by kind: what cannot be carried, and what is out of date.
func (w roleWork) passwords() (out []Finding) {
	var unreadable, unhidden, lost, md5 []string
	for _, r := range w.carried {
		t, there := w.target[r.Name]
		switch {
		case !r.Login:
			continue
		case !there && !w.creates(r.Name):
		case !there && r.Password == PasswordUnknown:
			unreadable = append(unreadable, r.Name)
		case !there && r.hasPassword() && !w.mayCopyPasswords():
			unhidden = append(unhidden, r.Name)
		case there && r.hasPassword() && t.Password == PasswordNone:
			lost = append(lost, r.Name)
		}
		kind := r.Password
		if there {
			kind = t.Password
		}
		if kind == PasswordMD5 {
			md5 = append(md5, r.Name)
		}
	}
	add := func(names []string, f Finding) {
		if len(names) > 0 {
			f.Object, f.On, f.SQL = ident(names[0]), Target, setPasswords(names)
			out = append(out, f)
		}
	}
	add(unreadable, Finding{
		Severity: Warning, Problem: "passwords cannot be read on the source by role " + ident(w.in.source.Role.Name) + ": " + few(unreadable) + "\nthey are created without one; their clients could not log in",
		Fix: "connect to the source as a superuser, or set them on the target before the cutover",
	})
	add(unhidden, Finding{
		Severity: Warning, Problem: "passwords are not copied, because only a superuser can keep them out of the target's log: " + few(unhidden) + "\nthey are created without one; their clients could not log in",
		Fix: "connect to the target as a superuser, or set them there before the cutover",
	})
	add(lost, Finding{
		Severity: Warning, Problem: "these have a password on the source and none on the target: " + few(lost) + "\ntheir clients could not log in; a role that is there is left as it is",
		Fix: "set it on the target",
	})
	if w.in.target.Version.Has(pgver.MD5Deprecated) {
		add(md5, Finding{
			Severity: Warning, Problem: fmt.Sprintf("%d passwords are stored as md5: %s\nPostgreSQL %d warns of them and a later one will refuse them; a line of pg_hba.conf with scram-sha-256 refuses them now", len(md5), few(md5), w.in.target.Version.Major()),
			Fix: "set them anew with password_encryption = scram-sha-256, on the source before the upgrade or on the target after it; until then let pg_hba.conf of the target ask for md5",
		})
	}
	return out
}

// few names the first of many.
func few(names []string) string {
	const most = 10
	var out []string
	for _, n := range names[:min(most, len(names))] {
		out = append(out, ident(n))
	}
	if more := len(names) - most; more > 0 {
		return strings.Join(out, ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(out, ", ")
}

// setPasswords are lines for psql, which sends no password as text.
func setPasswords(names []string) string {
	var lines []string
	for _, n := range names[:min(maxFindings, len(names))] {
		lines = append(lines, `\password `+ident(n))
	}
	return strings.Join(lines, "\n")
}

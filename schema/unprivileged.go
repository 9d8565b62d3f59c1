package schema

import (
	"regexp"
	"slices"
	"strings"

	"pgleap/plan"
)

// Unprivileged fits the definitions to a role on the target that is no superuser. Three things that pg_dump
// writes only a superuser can do, although what they lead to needs none:
//
//   - Nobody else may give an object to a role that may not create in the object's schema. So lodgers, the owners
//     in schemas of others, may create there until everything is made, and the grants are taken back where the
//     source has none.
//   - Who passed a privilege on is entered by SET SESSION AUTHORIZATION; SET ROLE does it too.
//   - The comment on an extension belongs to the extension's owner, and CREATE EXTENSION has set it.
//
// Until 14 schema public belonged to the superuser who made the cluster, for no reason of anybody's: on the target
// it stays whose it is.
func Unprivileged(entries []Entry, target plan.Facts, lodgers []plan.Lodger) []Entry {
	if target.Role.Superuser {
		return entries
	}
	out := grantsTo(lodgers, "public")
	for _, e := range entries {
		switch {
		case e.Type == "COMMENT" && strings.HasPrefix(e.Name, "EXTENSION "):
			continue
		case isPublic(e) && slices.Contains(target.Role.Superusers, e.Owner):
			e.SQL = alterOwner.ReplaceAllString(e.SQL, "")
		case e.Type == "ACL" || e.Type == "DEFAULT ACL":
			e.SQL = withoutAuthorization(e.SQL)
		}
		if strings.TrimSpace(e.SQL) != "" {
			out = append(out, e)
		}
		if e.Type == "SCHEMA" && !isPublic(e) {
			out = append(out, grantsTo(lodgers, e.Name)...)
		}
	}
	return append(out, revokes(lodgers)...)
}

// KeptPublic names schema public as Compare takes what it is to leave out, where Unprivileged leaves it its owner.
func KeptPublic(source, target plan.Facts) []string {
	if owner := source.RoleDetails.SchemaOwners["public"]; !target.Role.Superuser && slices.Contains(target.Role.Superusers, owner) {
		return []string{"schema public"}
	}
	return nil
}

func isPublic(e Entry) bool { return e.Type == "SCHEMA" && e.Name == "public" }

// alterOwner is one statement in the entry of schema public.
var alterOwner = regexp.MustCompile(`(?m)^ALTER SCHEMA public OWNER TO .*;$`)

// grantsTo lets the lodgers of a schema create in it; its entry stands before all that live there.
func grantsTo(lodgers []plan.Lodger, schema string) []Entry {
	var out []Entry
	for _, l := range lodgers {
		if l.Schema == schema {
			out = append(out, Entry{
				Type: "ACL", Name: "SCHEMA " + plan.QuoteIdent(l.Schema), Section: Pre,
				SQL: "GRANT CREATE ON SCHEMA " + plan.QuoteIdent(l.Schema) + " TO " + plan.QuoteIdent(l.Role) + ";",
			})
		}
	}
	return out
}

func revokes(lodgers []plan.Lodger) []Entry {
	var out []Entry
	for _, l := range lodgers {
		if !l.Keeps {
			out = append(out, Entry{
				Type: "ACL", Name: "SCHEMA " + plan.QuoteIdent(l.Schema), Section: Post,
				SQL: "REVOKE CREATE ON SCHEMA " + plan.QuoteIdent(l.Schema) + " FROM " + plan.QuoteIdent(l.Role) + ";",
			})
		}
	}
	return out
}

// withoutAuthorization writes SET ROLE for SET SESSION AUTHORIZATION where it begins a statement.
func withoutAuthorization(sql string) string {
	var b strings.Builder
	end := 0
	for _, s := range statements(sql) {
		text := sql[s.start:s.end]
		switch {
		case strings.HasPrefix(text, "SET SESSION AUTHORIZATION "):
			text = "SET ROLE " + text[len("SET SESSION AUTHORIZATION "):]
		case text == "RESET SESSION AUTHORIZATION":
			text = "RESET ROLE"
		}
		b.WriteString(sql[end:s.start] + text)
		end = s.end
	}
	return b.String() + sql[end:]
}

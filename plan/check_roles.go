package plan

import "slices"

// roleChecks are about roles and the settings of roles and of the database.
var roleChecks = []check{
	{CheckInfo{"roles", "The target has the roles", Blocker, "P", "Owners and grants need their roles; pg_dump does not carry roles.", "Let pgleap copy them (--roles), or create them on the target."}, checkRoles},
}

func checkRoles(in input) []Finding {
	var out []Finding
	for _, role := range in.source.RolesUsed {
		if slices.Contains(in.target.Roles, role) {
			continue
		}
		out = append(out, Finding{
			Severity: Blocker, On: Target, Object: QuoteIdent(role),
			Problem: "role " + ident(role) + " is missing on the target\non the source it owns something or has rights; definitions that name it would fail",
			Fix:     "with the attributes and memberships that pg_dumpall --roles-only shows on the source",
			SQL:     "create role " + QuoteIdent(role) + ";",
		})
	}
	return out
}

package plan

import (
	"fmt"
	"slices"
	"strings"
)

func checkForeignServers(in input) []Finding {
	var out []Finding
	for _, s := range in.source.Cluster.ForeignServers {
		f := Finding{
			Severity: Info, On: Source, Object: "foreign server " + s.Name,
			Problem: fmt.Sprintf("foreign server %s (%s%s) is carried over with its options\nfrom the switch on it is connected to from the target's machine", OneLine(s.Name), OneLine(s.Wrapper), atHost(s.Host)),
			Fix:     "see that the target's machine reaches it, and that it lets the target in",
		}
		if isLocal(s) {
			f.Severity = Warning
			f.Problem = fmt.Sprintf("foreign server %s (%s%s) is on the source's own machine\nit is carried over as it is written, and then means the target's machine", OneLine(s.Name), OneLine(s.Wrapper), atHost(s.Host))
			f.Fix = "give it the address as the target sees it, on the target, once the definitions are loaded"
			f.SQL = fmt.Sprintf("alter server %s options (%s host 'HOST');", QuoteIdent(s.Name), map[bool]string{true: "set", false: "add"}[s.Host != ""])
		}
		out = append(out, f)
		out = append(out, mappingPasswords(s)...)
	}
	return out
}

// mappingPasswords: what a plan holds is read by many, so no password gets into it.
func mappingPasswords(s ForeignServer) []Finding {
	var who, statements []string
	for _, m := range s.Mappings {
		if len(m.Secrets) == 0 {
			continue
		}
		options := make([]string, len(m.Secrets))
		for i, o := range m.Secrets {
			options[i] = "add " + QuoteIdent(o) + " '…'"
		}
		user := QuoteIdent(m.User)
		if m.User == "public" { // no role can have that name
			user = "public"
		}
		who = append(who, user)
		statements = append(statements, fmt.Sprintf("alter user mapping for %s server %s options (%s);", user, QuoteIdent(s.Name), strings.Join(options, ", ")))
	}
	if len(who) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Warning, On: Target, Object: "foreign server " + s.Name,
		Problem: fmt.Sprintf("passwords of the user mappings of foreign server %s (%s) are not carried over: no password stands in a plan\nits foreign tables cannot be read on the target until they are there", OneLine(s.Name), named(who)),
		Fix:     "add them on the target, once the definitions are loaded and before the switch",
		SQL:     strings.Join(statements, "\n"),
	}}
}

func atHost(host string) string {
	if host == "" {
		return ""
	}
	return " at " + OneLine(host)
}

// isLocal holds for an address that means another machine when it is looked up elsewhere. postgres_fdw without a
// host takes the socket of its own machine; of other wrappers nobody knows.
func isLocal(s ForeignServer) bool {
	h := s.Host
	return h == "localhost" || h == "::1" || strings.HasPrefix(h, "127.") || strings.HasPrefix(h, "/") || h == "" && s.Wrapper == "postgres_fdw"
}

func checkTablespaces(in input) []Finding {
	leftOut := in.leftOut()
	var out []Finding
	for _, s := range in.source.Cluster.Tablespaces {
		var used []string
		for _, n := range s.Tables {
			if !leftOut(n) {
				used = append(used, n.String())
			}
		}
		if len(used) > 0 {
			out = append(out, tablespaceFinding(in.target, s, used))
		}
	}
	if s, t := in.source.Cluster.Tablespace, in.target.Cluster.Tablespace; s != t && s != "pg_default" && s != "" {
		out = append(out, Finding{
			Severity: Info, On: Target, Object: "tablespace " + s,
			Problem: fmt.Sprintf("the source's database lives in tablespace %s, the target's in %s\nwhat has no tablespace of its own goes there", ident(s), ident(t)),
			Fix:     "make the target's database in the tablespace that is meant, if that matters",
		})
	}
	return out
}

func tablespaceFinding(target Facts, s Tablespace, used []string) Finding {
	f := Finding{Severity: Blocker, On: Target, Object: "tablespace " + s.Name}
	where := fmt.Sprintf("%s of %s (%s)", ident(s.Name), OneLine(used[0]), OneLine(s.Location))
	if len(used) > 1 {
		where = fmt.Sprintf("%s of %s and %d more (%s)", ident(s.Name), OneLine(used[0]), len(used)-1, OneLine(s.Location))
	}
	i := slices.IndexFunc(target.Cluster.Tablespaces, func(t Tablespace) bool { return t.Name == s.Name })
	switch {
	case i < 0:
		f.Problem = "tablespace " + where + " is missing on the target\nthe definitions name it and could not be loaded"
		f.Fix = "make it on the target, in an empty folder of its server's user; it may be anywhere"
		f.SQL = fmt.Sprintf("create tablespace %s location %s;", QuoteIdent(s.Name), QuoteLiteral(s.Location))
	case !target.Cluster.Tablespaces[i].CanCreate:
		f.Problem = fmt.Sprintf("role %s may not create in tablespace %s\nits tables could not be made", ident(target.Role.Name), where)
		f.Fix = "let it"
		f.SQL = fmt.Sprintf("grant create on tablespace %s to %s;", QuoteIdent(s.Name), QuoteIdent(target.Role.Name))
	default:
		f.Severity = Info
		f.Problem = "tablespace " + where + " is used on the target under the same name: " + OneLine(target.Cluster.Tablespaces[i].Location)
		f.Fix = "see that there is room"
	}
	return f
}

func checkSecurityLabels(in input) []Finding {
	var out []Finding
	for _, l := range in.source.Cluster.Labels {
		if l.Count > 0 && !in.resumed() {
			out = append(out, Finding{
				Severity: Warning, On: Target, Object: l.Provider,
				Problem: fmt.Sprintf("%s of provider %s are carried over with the definitions\nwithout that provider's library the target refuses them: security label provider %q is not loaded", plural(l.Count, "security label"), ident(l.Provider), l.Provider),
				Fix:     "load the library on the target (shared_preload_libraries, and a restart), or drop the labels on the source",
			})
		}
		if l.Shared > 0 {
			out = append(out, Finding{
				Severity: Info, On: Source, Object: l.Provider,
				Problem: fmt.Sprintf("%s of provider %s on roles, tablespaces or the database itself are not carried over", plural(l.Shared, "security label"), ident(l.Provider)),
				Fix:     "set them on the target; pg_dumpall --globals-only of the source writes those of roles and tablespaces",
			})
		}
	}
	return out
}

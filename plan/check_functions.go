package plan

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pgver"
)

// checkSearchPathFunctions tells each function once, however many definitions use it.
func checkSearchPathFunctions(in input) []Finding {
	uses := map[string][]FunctionUse{}
	var order []string
	leftOut := in.leftOut()
	for _, u := range in.source.Definitions.Functions {
		if len(u.Bare) == 0 || leftOut(u.On) {
			continue
		}
		if uses[u.Function] == nil {
			order = append(order, u.Function)
		}
		uses[u.Function] = append(uses[u.Function], u)
	}
	var out []Finding
	for _, function := range order {
		out = append(out, searchPathFinding(in, uses[function]))
	}
	return out
}

func searchPathFinding(in input, uses []FunctionUse) Finding {
	u := uses[0]
	f := Finding{Severity: Blocker, On: Source, Object: u.Function}
	var where []string
	fails := map[string]bool{}
	for _, use := range uses {
		where = append(where, usedBy(use))
		fails[failure(use.Kind)] = true
	}
	culprit := u.Function
	text := OneLine(u.Function)
	if u.Through != "" {
		culprit = u.Through
		text += ", by way of " + OneLine(u.Through) + ","
	}
	var consequences []string
	for _, c := range []string{failsCopy, failsBuild, failsFill, failsAnalyze} {
		if fails[c] {
			consequences = append(consequences, c)
		}
	}
	f.Problem = fmt.Sprintf("%s needs a search_path to find %s; it is used by %s\nwithout one %s", text, OneLine(firstFive(u.Bare)), OneLine(firstFive(where)), strings.Join(consequences, "; "))
	if in.target.Version.Has(pgver.MaintenancePath) && (fails[failsBuild] || fails[failsFill] || fails[failsAnalyze]) {
		f.Problem += fmt.Sprintf(". From PostgreSQL %d on the same holds for everybody's REINDEX, REFRESH and ANALYZE", pgver.MaintenancePath.Major)
	}
	f.Fix = "give the function a search_path of its own; the definition is carried over with it"
	f.SQL = fmt.Sprintf("alter function %s set search_path = %s;", culprit, quoted(u.Schemas))
	switch {
	case u.Extension != "":
		f.Severity = Warning
		f.Fix = fmt.Sprintf("use a function of your own, with a search_path, instead of the one of extension %s: what is altered on it is not carried over. A newer version of the extension on the target may not need it", ident(u.Extension))
		f.SQL = ""
	case u.Unsure, !needed(in, uses):
		f.Severity = Warning
	}
	return f
}

// The ways in which a function without a search_path makes the upgrade fail.
const (
	failsCopy    = "the first copy and apply fail on each row, and replication stops"
	failsBuild   = "the index cannot be built, or apply stops once it is there"
	failsFill    = "the materialized view cannot be filled"
	failsAnalyze = "ANALYZE fails"
)

func failure(kind string) string {
	switch kind {
	case "index":
		return failsBuild
	case "materialized view":
		return failsFill
	case "statistics":
		return failsAnalyze
	}
	return failsCopy
}

// usedBy names the definition that uses a function.
func usedBy(u FunctionUse) string {
	switch u.Kind {
	case "materialized view", "partition key":
		return u.Kind + " " + ofPartitioned(u) + u.On.String()
	case "domain":
		return u.Kind + " " + u.On.String()
	}
	return u.Kind + " " + QuoteIdent(u.Member) + " of " + u.On.String()
}

func ofPartitioned(u FunctionUse) string {
	if u.Kind == "partition key" {
		return "of "
	}
	return ""
}

// needed tells whether a use will run in this upgrade: a materialized view that was never filled does not.
func needed(in input, uses []FunctionUse) bool {
	return slices.ContainsFunc(uses, func(u FunctionUse) bool {
		return u.Kind != "materialized view" || slices.ContainsFunc(in.selection.MatViews, func(m Relation) bool { return m.Name == u.On && m.Populated })
	})
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = QuoteIdent(n)
	}
	return strings.Join(out, ", ")
}

package plan

import (
	"fmt"
	"slices"
	"strings"
)

// trialChecks judge what the trial load showed.
var trialChecks = []check{
	{CheckInfo{"schema-loads", "The target takes the definitions", Blocker, "P", "A new major refuses some of what an old one took: types, operators, catalog columns, WITH OIDS. The definitions are loaded for trial into a scratch database of the target, which is dropped at once, and compared with the source's, object by object.", "Change the definition on the source so that both versions take it, or leave the object out."}, checkTrial},
}

func checkTrial(in input) []Finding {
	trial := in.target.Trial
	if trial == nil || in.resumed() {
		return nil
	}
	if trial.NotTried != "" {
		return notTried(in, *trial)
	}
	var out []Finding
	for _, f := range trial.Failures {
		if !toldElsewhere(in, f) {
			out = append(out, refused(in, f))
		}
	}
	for _, d := range trial.Differences {
		if d.Source == identityDropped {
			continue // check replica-identity tells: its index is gone, which no dump can carry
		}
		if strings.Replace(d.Source, oidsClause, "", 1) != d.Target { // else check removed-features tells
			out = append(out, differs(d))
		}
	}
	if trial.Loaded < trial.Objects {
		out = append(out, Finding{
			Severity: Info, On: Target,
			Problem: fmt.Sprintf("%d of %d objects were loaded for trial, one of each shape with all that it needs\nthe others have the same statements with other names, and were neither loaded nor compared", trial.Loaded, trial.Objects),
			Fix:     "--trial-load full loads all of them",
		})
	}
	return out
}

const identityDropped = "using index (dropped)"

const oidsClause = "; with oids"

func notTried(in input, trial TrialFacts) []Finding {
	const consequence = "\nthe definitions were not loaded for trial: what the new version refuses shows only while sync loads them"
	f := Finding{Severity: Warning, On: Target}
	switch trial.NotTried {
	case NotTriedCreateDB:
		name := QuoteIdent(in.target.Role.Name)
		f.Object, f.Problem = name, "role "+name+" may not create a database on the target"+consequence
		f.Fix, f.SQL = "let it, or leave the trial out with --trial-load none", "alter role "+name+" createdb;"
	case NotTriedDump:
		f.Severity, f.On = Blocker, Source
		f.Problem = "the definitions cannot be read: " + OneLine(trial.Error) + "\nsync could not begin"
		f.Fix = "mend what pg_dump complains of, and check again"
	case NotTriedFailed:
		f.Problem = "a scratch database on the target could not be used: " + OneLine(trial.Error) + consequence
		f.Fix = "mend what the server complains of and check again, or leave the trial out with --trial-load none"
	default:
		return nil
	}
	return []Finding{f}
}

// toldElsewhere: a role that is missing, and one that ours is no member of, have findings of their own; and an
// extension that is in the target's database already need not be made.
func toldElsewhere(in input, f TrialFailure) bool {
	if f.Role != "" {
		return !slices.Contains(in.target.Roles, f.Role) || !slices.Contains(in.target.Role.CanSet, f.Role) && slices.ContainsFunc(oneEach(in), func(o Ownership) bool { return o.Owner == f.Role })
	}
	return f.Extension != "" && slices.ContainsFunc(in.target.Extensions, func(e Extension) bool { return e.Name == f.Extension })
}

// shownStatement bounds how much of a statement is shown.
const shownStatement = 300

func refused(in input, f TrialFailure) Finding {
	consequence := "sync would stop there"
	switch {
	case f.Needs == 1:
		consequence += "; 1 more needs it: " + strings.Join(f.NeededBy, ", ")
	case f.Needs > 1:
		consequence += fmt.Sprintf("; and %d more that need it: %s", f.Needs, strings.Join(f.NeededBy, ", "))
		if f.Needs > len(f.NeededBy) {
			consequence += ", …"
		}
	}
	statement := []rune(f.Statement)
	if len(statement) > shownStatement {
		statement = append(statement[:shownStatement], '…')
	}
	fix := f.Hint
	if fix == "" {
		fix = "change the definition on the source so that the new version takes it, or leave the object out with --exclude-tables"
	}
	return Finding{
		Severity: Blocker, On: Target, Object: OneLine(f.Object),
		Problem: fmt.Sprintf("%s: PostgreSQL %d refuses it: %s\n%s\nthe statement: %s",
			OneLine(f.Object), in.target.Version.Major(), OneLine(f.Message), OneLine(consequence), OneLine(string(statement))),
		Fix: fix + "; then check again",
	}
}

// differs tells a difference. Those of schema public may be of the target's own making.
func differs(d TrialDifference) Finding {
	f := Finding{Severity: Blocker, On: Target, Object: OneLine(d.Object), Fix: "make the definition one that both versions read alike, on the source, or leave the object out; then check again"}
	switch {
	case d.Target == "":
		f.Problem = fmt.Sprintf("%s does not arrive on the target\nthe source has: %s", OneLine(d.Object), OneLine(d.Source))
	case d.Source == "":
		f.Problem = fmt.Sprintf("%s is on the target after the definitions are loaded, and not on the source\nthe target has: %s", OneLine(d.Object), OneLine(d.Target))
	default:
		f.Problem = fmt.Sprintf("%s is not the same on the target\nsource: %s\ntarget: %s", OneLine(d.Object), OneLine(d.Source), OneLine(d.Target))
	}
	f.Problem += "\nsync compares both catalogs in the end, and would stop there"
	if strings.HasSuffix(d.Object, "schema public") || strings.Contains(d.Object, " on schema public to ") {
		f.Severity = Warning
	}
	return f
}

package plan

import (
	"fmt"
	"strings"
)

// settingFindings are the settings of the source that the target does not have in the same place.
func (w roleWork) settingFindings() (out []Finding) {
	var carried []string
	for _, s := range w.settings() {
		t, there := w.targetSetting(s)
		if there && t.Value == s.Value {
			continue
		}
		if w.sets(s) {
			carried = append(carried, s.object())
			continue
		}
		out = append(out, w.setting(s, t))
	}
	if len(carried) > 0 {
		out = append(out, Finding{
			Severity: Info, On: Target, Object: carried[0], Problem: fmt.Sprintf("%d settings differ from the source's: %s", len(carried), strings.Join(carried, "; ")),
			Fix: "nothing: pgleap sets them at the end of sync",
		})
	}
	return out
}

// object names the setting in a line.
func (s RoleSetting) object() string { return OneLine(s.Name) + " of " + s.where() }

func (w roleWork) setting(s, there RoleSetting) Finding {
	now := "not set on the target"
	if there.Name != "" {
		now = "on the target " + there.Value
	}
	name := OneLine(s.Name)
	f := Finding{
		Severity: Warning, On: Target, Object: s.object(), SQL: s.SetStatement(w.in.target.Database),
		Problem: OneLine(s.object() + ": on the source " + s.Value + ", " + now),
	}
	switch w.fate(s) {
	case settingUnknown:
		f.Problem += fmt.Sprintf("\nPostgreSQL %d does not know %s: it is left out", w.in.target.Version.Major(), name)
		f.Fix, f.SQL = "look in the release notes what has taken its place, and set that on the target by hand", ""
	case settingForbidden:
		f.Problem += fmt.Sprintf("\nrole %s may not set it there: it is left out", ident(w.in.target.Role.Name))
		f.Fix = "let a superuser of the target do it"
	case settingUnsafe:
		f.Problem += "\n" + unsafe(s) + ": it is not carried over"
		f.Fix = "if the new server is to have it, after the cutover"
	default:
		f.Problem += "\nclients would find another behaviour"
		f.Fix = "let pgleap set it (--settings), or paste this"
	}
	return f
}

// unsafe says why a setting is left to the operator.
func unsafe(s RoleSetting) string {
	switch strings.ToLower(s.Name) {
	case "default_transaction_read_only":
		return "the new server would refuse the writes it is to take over"
	case "role", "session_replication_role":
		return "it would change pgleap's own sessions"
	}
	return "where a library is missing nobody can log in"
}

package pipeline

import (
	"fmt"
	"strings"

	"pgleap/plan"
)

// The steps of --roles and --settings.
const (
	stepRoles       plan.StepID = "schema.roles"
	stepMemberships plan.StepID = "schema.memberships"
	stepSettings    plan.StepID = "finish.settings"
)

// roleSteps make the roles before the definitions that name them, and before the target's contents are written
// down: an abort removes what they own first, then them.
func roleSteps(s plan.RoleStatements) []plan.Step {
	var steps []plan.Step
	if len(s.Roles) > 0 {
		step := roleStep(stepRoles, fmt.Sprintf("create %s, those that are not there: %s", plan.Plural(len(s.Roles), "role"), missingNow(s.Missing)), s.Roles)
		step.Why = "pg_dump does not carry roles; they belong to the whole server: one that is there is left as it is; abort drops only those that this step made, and none where the target has other databases that may rely on them"
		step.ByHand = plan.Script(plan.Typed{In: plan.TerminalNew, About: "those whose password is copied get a new one by hand", Text: s.ByHand})
		steps = append(steps, step)
	}
	if len(s.Memberships) > 0 {
		step := roleStep(stepMemberships, fmt.Sprintf("give %s, those that are not there", plan.Plural(len(s.Memberships), "membership")), s.Memberships)
		step.Why = "many roles have their rights by membership alone"
		steps = append(steps, step)
	}
	return steps
}

// settingSteps make the settings when the walk has little left to do on the target: they count for every
// session that is opened from then on.
func settingSteps(s plan.RoleStatements) []plan.Step {
	if len(s.Settings) == 0 {
		return nil
	}
	step := roleStep(stepSettings, fmt.Sprintf("set %d settings of the database and of roles", len(s.Settings)), s.Settings)
	step.Why = "pg_dump does not carry them; abort puts back what was there"
	return []plan.Step{step}
}

func roleStep(id plan.StepID, title string, statements []string) plan.Step {
	sql := strings.Join(statements, "\n")
	return plan.Step{
		ID: id, Title: title, On: plan.Target, Recorded: true,
		Do: plan.Action{Call: callChangeRoles, SQL: sql}, Undo: plan.Action{Call: callRestoreRoles}, ByHand: plan.Script(plan.Typed{In: plan.TerminalNew, Text: sql}),
	}
}

func missingNow(names []string) string {
	const most = 5
	if len(names) == 0 {
		return "at this time none is missing"
	}
	var list []string
	for _, n := range names[:min(most, len(names))] {
		list = append(list, plan.QuoteIdent(n))
	}
	text := strings.Join(list, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return plan.OneLine(text)
}

package sync

import (
	"fmt"
	"strings"

	"pgleap/plan"
)

// The Calls of replica identities: both wait for the table's lock in short attempts only, so that no statement
// of the application queues behind ours for long.
const (
	CallSetIdentity = "set-identity"
	CallPutBack     = "put-identity-back"
)

// PutBackFunction lists on the source how to put the replica identities back: an abort that has lost the target,
// and its journal with it, asks there. It is made before the first of them is changed.
const PutBackFunction = "pgleap.put_back"

// PutBackStatement reads from PutBackFunction whether a table is still to be put back, and how.
const PutBackStatement = "select name, probe, statement from " + PutBackFunction + "()"

// putBackDefinition is the function as part of SourceDefinition; nothing where there is nothing to put back.
func putBackDefinition(repairs []plan.IdentityRepair) string {
	if len(repairs) == 0 {
		return ""
	}
	rows := make([]string, len(repairs))
	for i, r := range repairs {
		rows[i] = fmt.Sprintf("(%s, %s, %s)", plan.QuoteLiteral(r.Table.String()), plan.QuoteLiteral(r.ProbeBack()), plan.QuoteLiteral(r.Back()))
	}
	return ";\ncreate function " + PutBackFunction + "(out name text, out probe text, out statement text) returns setof record language sql as " +
		plan.QuoteLiteral("values "+strings.Join(rows, ",\n")) // a literal: no delimiter of ours can stand in a name
}

const lockedForAnInstant = "ACCESS EXCLUSIVE on the table, for an instant; waited for in attempts of at most half a second"

// identitySteps give the tables their identities, before they are published.
func identitySteps(repairs []plan.IdentityRepair) []plan.Step {
	var steps []plan.Step
	for _, r := range repairs {
		steps = append(steps, plan.Step{
			ID: plan.StepID("publish.identity." + plan.OneLine(r.Table.Schema+"."+r.Table.Name)), Title: "give " + plan.OneLine(r.Table.String()) + " a replica identity", On: plan.Source,
			Why:     "published without one, its UPDATEs and DELETEs would fail; it is put back at finalize and abort",
			Probe:   r.ProbeSet(),
			Do:      plan.Action{Call: CallSetIdentity, SQL: r.Set()},
			Undo:    plan.Action{Call: CallPutBack, SQL: r.Back()},
			Hazards: []plan.Hazard{plan.HazardLocks},
			Lock:    lockedForAnInstant,
			ByHand:  plan.Script(plan.Typed{In: plan.TerminalOld, Text: r.Set() + ";"}),
		})
	}
	return steps
}

// TargetIdentitySteps give the tables of the target the same identities: apply finds its rows by them.
func TargetIdentitySteps(repairs []plan.IdentityRepair) []plan.Step {
	var steps []plan.Step
	for _, r := range repairs {
		steps = append(steps, plan.Step{
			ID: plan.StepID("schema.replica-identity." + plan.OneLine(r.Table.Schema+"."+r.Table.Name)), Title: "give " + plan.OneLine(r.Table.String()) + " the replica identity that it gets on the source", On: plan.Target,
			Why: "apply finds by it the row of an UPDATE or DELETE", Recorded: true,
			Do: plan.Action{SQL: r.Set()}, Table: &r.Table,
		})
	}
	return steps
}

// PutBackSteps put the identities of one side back, at finalize.
func PutBackSteps(on plan.Side, repairs []plan.IdentityRepair) []plan.Step {
	var steps []plan.Step
	terminal := plan.TerminalOld
	if on == plan.Target {
		terminal = plan.TerminalNew
	}
	for _, r := range repairs {
		steps = append(steps, plan.Step{
			ID:    plan.StepID("finalize.identity." + string(on) + "." + plan.OneLine(r.Table.Schema+"."+r.Table.Name)),
			Title: "put the replica identity of " + plan.OneLine(r.Table.String()) + " back", On: on,
			Probe:   r.ProbeBack(),
			Do:      plan.Action{Call: CallPutBack, SQL: r.Back()},
			Hazards: []plan.Hazard{plan.HazardLocks},
			Lock:    lockedForAnInstant,
			ByHand:  plan.Script(plan.Typed{In: terminal, Text: r.Back() + ";"}),
		})
	}
	return steps
}

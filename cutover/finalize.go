package cutover

import "pgleap/plan"

// Finalize returns the stage that removes the fence and the last of our objects.
func Finalize() plan.Stage {
	return plan.Stage{
		ID: plan.StageFinalize, Title: "the fence on the old server and schema pgleap on both go", Irreversible: true,
		Steps: []plan.Step{
			{
				ID: "finalize.fence", Title: "drop schema pgleap, and the fence with it, on the old server", On: plan.Source,
				Why:   "the old server takes writes again that nobody carries over: no client may be left on it",
				Probe: "select case when to_regnamespace('pgleap') is null then 'done' else 'absent' end",
				Do:    plan.Action{Call: plan.CallUnfence, SQL: plan.DropSchema}, ByHand: plan.Script(plan.Typed{In: plan.TerminalOld, Text: plan.DropSchema + ";"}),
				Hazards: []plan.Hazard{plan.HazardFinal},
				Lock:    "ACCESS EXCLUSIVE on every table of the old server, one after the other",
				Notice:  "who is still on the old server and writes is not refused any more",
			},
			{
				ID: "finalize.journal", Title: "drop the journal", On: plan.Target,
				Why:   "where a rollback has fenced the new server, its triggers go before, one table at a time",
				Probe: "select case when to_regnamespace('pgleap') is null then 'done' else 'absent' end",
				Do:    plan.Action{Call: plan.CallUnfence, SQL: plan.DropSchema}, ByHand: plan.Script(plan.Typed{In: plan.TerminalNew, Text: plan.DropSchema + ";"}),
				Notice: "nothing: a schema of pgleap's own",
			},
		},
	}
}

package sync

import "pgleap/plan"

// Teardown returns the stage after the release: replication to the target ends. The fence stays. Where there is a way
// back the slot alone goes: the old server need not keep WAL for the new one, and a cutover after a rollback makes
// another.
func Teardown(run plan.RunID, wayBack bool) plan.Stage {
	slot := dropSlot("teardown.slot", run, plan.Source)
	slot.Notice = "nothing: the old server may let go of its WAL again"
	if wayBack {
		return plan.Stage{
			ID: plan.StageTeardown, Title: "the slot goes; the old server stays fenced, and follows the new one", Irreversible: true,
			Steps: []plan.Step{slot},
		}
	}
	return plan.Stage{
		ID: plan.StageTeardown, Title: "subscription and slot go; the old server stays fenced", Irreversible: true,
		Steps: []plan.Step{
			dropSubscription("teardown.subscription", run, plan.Target),
			slot,
		},
	}
}

// LastSteps drop at finalize what was kept for the way back, in both directions. They come before replica identities
// are put back: a table that is published without one refuses its updates.
func LastSteps(run plan.RunID, wayBack bool) []plan.Step {
	publication := dropPublication("finalize.publication", run, plan.Source) // until then the old server's WAL is read by it
	if !wayBack {
		return []plan.Step{publication}
	}
	return []plan.Step{
		dropSubscription("finalize.back.subscription", run.Back(), plan.Source),
		dropSlot("finalize.back.slot", run.Back(), plan.Target),
		dropPublication("finalize.back.publication", run.Back(), plan.Target),
		dropSubscription("finalize.subscription", run, plan.Target),
		dropSlot("finalize.slot", run, plan.Source), // a rollback that was killed may have made it anew
		publication,
	}
}

func dropSubscription(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	return plan.Step{
		ID: id, Title: "drop subscription " + lane.Object(), On: on,
		Probe:  "select case when exists (select from pg_subscription where " + isOurs(lane) + ") then 'absent' else 'done' end",
		Do:     plan.Action{SQL: DropSubscriptionStatement(lane)},
		Notice: afterRelease,
	}
}

func dropSlot(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	return plan.Step{
		ID: id, Title: "drop replication slot " + lane.Object(), On: on,
		Probe: "select case when exists (select from pg_replication_slots where database = current_database() and (slot_name = " + plan.QuoteLiteral(lane.Object()) + " or " + syncSlots(lane) + ")) then 'absent' else 'done' end",
		Do:    plan.Action{Call: CallUnslot, SQL: DropSlotStatement(lane)}, ByHand: unslotByHand(lane, on),
		Notice: afterRelease,
	}
}

func dropPublication(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	return plan.Step{
		ID: id, Title: "drop publication " + lane.Object(), On: on,
		Probe:  "select case when exists (select from pg_publication where pubname = " + plan.QuoteLiteral(lane.Object()) + ") then 'absent' else 'done' end",
		Do:     plan.Action{SQL: "drop publication if exists " + plan.QuoteIdent(lane.Object())},
		Lock:   "ACCESS EXCLUSIVE on the publication alone",
		Notice: afterRelease,
	}
}

// isOurs is the condition that finds the lane's subscription in pg_subscription, which all databases share.
func isOurs(lane plan.RunID) string {
	return "subname = " + plan.QuoteLiteral(lane.Object()) + " and subdbid = (select oid from pg_database where datname = current_database())"
}

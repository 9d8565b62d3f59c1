package sync

import (
	"slices"

	"pgleap/plan"
)

// Teardown returns the stage after the release: replication to the target ends. The fence stays. Where there is a way
// back the slot alone goes: the old server need not keep WAL for the new one, and a cutover after a rollback makes
// another.
func Teardown(lanes []plan.Lane, wayBack bool) plan.Stage {
	slots := each(lanes, func(lane plan.RunID) plan.Step {
		slot := dropSlot("teardown.slot", lane, plan.Source)
		slot.Notice = "nothing: the old server may let go of its WAL again"
		return slot
	})
	if wayBack {
		return plan.Stage{
			ID: plan.StageTeardown, Title: "the slot goes; the old server stays fenced, and follows the new one", Irreversible: true,
			Steps: slots,
		}
	}
	return plan.Stage{
		ID: plan.StageTeardown, Title: "subscription and slot go; the old server stays fenced", Irreversible: true,
		Steps: append(each(lanes, func(lane plan.RunID) plan.Step {
			return dropSubscription("teardown.subscription", lane, plan.Target)
		}), slots...),
	}
}

// LastSteps drop at finalize what was kept for the way back, in both directions. They come before replica identities
// are put back: a table that is published without one refuses its updates.
func LastSteps(lanes []plan.Lane, wayBack bool) []plan.Step {
	publications := each(lanes, func(lane plan.RunID) plan.Step { // until then the old server's WAL is read by them
		return dropPublication("finalize.publication", lane, plan.Source)
	})
	if !wayBack {
		return publications
	}
	back := lanes[0].Run.Back()
	return slices.Concat([]plan.Step{
		dropSubscription("finalize.back.subscription", back, plan.Source),
		dropSlot("finalize.back.slot", back, plan.Target),
		dropPublication("finalize.back.publication", back, plan.Target),
	}, each(lanes, func(lane plan.RunID) plan.Step {
		return dropSubscription("finalize.subscription", lane, plan.Target)
	}), each(lanes, func(lane plan.RunID) plan.Step {
		return dropSlot("finalize.slot", lane, plan.Source) // a rollback that was killed may have made it anew
	}), publications)
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

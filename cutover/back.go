package cutover

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// BackSlotSteps are the part of a switch that lets the side that is left follow from the release on: a slot of each lane on
// the side that takes over, made before anybody waits. What the switch itself has brought there must not come back: inside,
// when all of it is there, the slots are advanced behind it. A server that cannot advance a slot makes it inside.
func BackSlotSteps(lanes []plan.Lane, d plan.Direction, takesOver pgver.Version) (steps []plan.Step) {
	on := d.To()
	ends := func(call string) string { // the first position that a slot stands at
		var all []string
		for _, l := range lanes {
			all = append(all, fmt.Sprintf(call, plan.QuoteLiteral(l.Object())))
		}
		if len(all) == 1 {
			return "select " + all[0]
		}
		return "select least((select " + strings.Join(all, "),\n  (select ") + "))::text"
	}
	if !takesOver.Has(pgver.SlotAdvance) {
		undo := make([]string, len(lanes))
		for i, l := range lanes {
			undo[i] = dropSlot(l.Run)
		}
		column := "lsn::text"
		if len(lanes) > 1 {
			column = "lsn"
		}
		return []plan.Step{{
			ID: StepBackAdvance, Title: "create replication " + slots(lanes) + " on the " + string(on) + ", for the way back", On: on,
			Why:    "PostgreSQL 10 cannot put a slot forward: it is made when all that was carried over is there",
			Do:     plan.Action{Call: CallSwitch, SQL: ends(column + " from pg_create_logical_replication_slot(%s, 'pgoutput')")},
			Undo:   plan.Action{Call: CallSwitch, SQL: joined(undo)},
			Notice: waiting, ByHand: nothingBack,
		}}
	}
	for _, l := range lanes {
		steps = append(steps, l.Steps(plan.Step{
			ID: StepBackSlot, Title: "create replication slot " + l.Object() + " on the " + string(on) + ", for the way back", On: on,
			Why:     "its creation waits for open write transactions: before the switch, not within",
			Do:      plan.Action{Call: CallSwitch, SQL: pg.CreateSlotStatement(l.Object())},
			Undo:    plan.Action{Call: CallSwitch, SQL: dropSlot(l.Run)},
			Hazards: []plan.Hazard{plan.HazardRetainsWAL}, ByHand: nothingBack,
			Notice: "nothing: writes go on",
		})...)
	}
	column := "end_lsn::text"
	if len(lanes) > 1 {
		column = "end_lsn"
	}
	return append(steps, plan.Step{
		ID: StepBackAdvance, Title: "put " + slots(lanes) + " behind all that was carried over", On: on,
		Why:    "no row of the switch's own direction comes back: after a synchronous commit the slot is put to the end of what was written",
		Do:     plan.Action{Call: CallSwitch, SQL: "select pg_logical_emit_message(true, 'pgleap', 'fence');\n" + ends(column+" from pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())")},
		Notice: waiting, ByHand: nothingBack,
	})
}

// slots names those of the lanes.
func slots(lanes []plan.Lane) string {
	names := make([]string, len(lanes))
	for i, l := range lanes {
		names[i] = l.Object()
	}
	if len(names) == 1 {
		return "slot " + names[0]
	}
	return "slots " + strings.Join(names, ", ")
}

var nothingBack = plan.NothingByHand("It is for pgleap rollback; who types goes back only before the point of no return")

// dropSlot drops a slot that nobody uses, if it is there.
func dropSlot(lane plan.RunID) string {
	return "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and not active and slot_name = " + plan.QuoteLiteral(lane.Object())
}

// WithWayBack returns the stage of the switch with the steps that let the source follow the target afterwards, on lanes.
func WithWayBack(lanes []plan.Lane, d plan.Direction, stage plan.Stage, takesOver pgver.Version) plan.Stage {
	steps := slices.Clone(stage.Steps)
	before := 0
	for _, s := range BackSlotSteps(lanes, d, takesOver) {
		at := before
		if s.ID == StepBackAdvance {
			at = slices.IndexFunc(steps, func(s plan.Step) bool { return s.ID == StageStep(stage, StepSequences) })
		}
		before++
		s.ID = StageStep(stage, s.ID)
		steps = slices.Insert(steps, at, s)
	}
	stage.Steps = steps
	return stage
}

// BackStage returns the switch of a rollback: that of a cutover with the sides swapped. forward is the cutover's stage
// without its way back, of the one lane that leads back; lanes are those that lead forward again.
func BackStage(lanes []plan.Lane, forward plan.Stage, source pgver.Version) plan.Stage {
	d := plan.Backward
	stage := forward
	stage.ID, stage.Title, stage.Steps = plan.StageBackSwitch, d.Words(forward.Title), nil
	for _, s := range forward.Steps {
		stage.Steps = append(stage.Steps, turned(s))
	}
	return WithWayBack(lanes, d, stage, source)
}

// StageStep is the id that a step of the switch has in the stage: that of the rollback has ids of its own.
func StageStep(stage plan.Stage, id plan.StepID) plan.StepID {
	return plan.StepID(string(stage.ID) + strings.TrimPrefix(string(id), string(plan.StageSwitch)))
}

// turned is a step of the switch on the other side, and told so.
func turned(s plan.Step) plan.Step {
	d := plan.Backward
	s.ID = StageStep(plan.Stage{ID: plan.StageBackSwitch}, s.ID)
	if s.On == plan.Source {
		s.On = plan.Target
	} else {
		s.On = plan.Source
	}
	s.ByHand, s.Trouble = nothingBack, ""
	s.Title, s.Why, s.Lock, s.Notice = d.Words(s.Title), d.Words(s.Why), d.Words(s.Lock), d.Words(s.Notice)
	return s
}

package sync

import (
	"fmt"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// BackSteps prepare the way back as far as it can be before the switch: a publication on the target, and on the source
// the subscription that will follow it. They stay, also over a rollback and the next cutover; only slots come and go.
func BackSteps(run plan.RunID, source, target plan.Facts, sel plan.Selection) []plan.Step {
	lane := run.Back()
	whole := plan.Whole(lane, sel.Published)
	truncate := source.Version.Has(pgver.PublishTruncate) && target.Version.Has(pgver.PublishTruncate)
	return []plan.Step{
		{
			ID: "finish.back.publication", Title: fmt.Sprintf("create publication %s of %s, for the way back", lane.Object(), plan.Plural(whole.Relations(), "table")), On: plan.Target,
			Why:    "from the release on the old server follows the new one, so that pgleap rollback can go back without a loss",
			Probe:  probePublication(whole, plan.Options{}),
			Do:     plan.Action{SQL: createPublication(whole, truncate, plan.Options{})},
			Undo:   plan.Action{Call: CallUnslot, SQL: DropSlotStatement(lane) + ";\ndrop publication if exists " + plan.QuoteIdent(lane.Object())},
			ByHand: nothingBackByHand, Notice: "nothing: nobody uses the target yet",
		},
		{
			ID: "finish.back.subscription", Title: "create subscription " + lane.Object() + ", which follows nothing yet", On: plan.Source,
			Why:    "it is enabled behind the release, when the new server has its slot",
			Probe:  "select case when exists (select from pg_subscription where " + isOurs(lane) + ") then 'done' else 'absent' end",
			Do:     plan.Action{SQL: createSubscription(lane, TargetConninfo, source.Version, "copy_data = false, synchronous_commit = 'on'")},
			Undo:   plan.Action{SQL: DropSubscriptionStatement(lane)},
			ByHand: nothingBackByHand, Trouble: "the old server does not reach the new one, whatever the other way round: give the address with --target-from-source, or do without the way back (--no-way-back)",
			Notice: "one connection to the target, to read the publication",
		},
	}
}

var nothingBackByHand = plan.NothingByHand("It is for pgleap rollback; who types goes back only before the point of no return")

// FollowStep enables the lane's subscription behind a switch.
func FollowStep(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	return plan.Step{
		ID: id, Title: "enable subscription " + lane.Object() + ": from now on the " + string(on) + " follows", On: on, Recorded: true,
		Why:    "when nothing comes the other way any more, or each would send the other's rows round again",
		Do:     plan.Action{Call: CallFollow, SQL: "alter subscription " + plan.QuoteIdent(lane.Object()) + " enable"},
		ByHand: nothingBackByHand, Notice: behindSwitch(on),
	}
}

// behindSwitch is what production notices when that side follows: it is on the other one.
func behindSwitch(follows plan.Side) string {
	if follows == plan.Target {
		return "nothing: the clients are on the old server"
	}
	return afterRelease
}

// DisableStep ends what came before a switch; the subscription stays.
func DisableStep(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	return plan.Step{
		ID: id, Title: "disable subscription " + lane.Object(), On: on,
		Probe:  "select coalesce((select case when subenabled then 'absent' else 'done' end from pg_subscription where " + isOurs(lane) + "), 'done')", // one that was dropped by hand brings nothing
		Do:     plan.Action{SQL: "alter subscription " + plan.QuoteIdent(lane.Object()) + " disable"},
		ByHand: nothingBackByHand, Notice: "nothing: the clients move meanwhile",
	}
}

// DropSlotStep drops the slot of a direction that has ended, on the side that follows from now on.
func DropSlotStep(id plan.StepID, lane plan.RunID, on plan.Side) plan.Step {
	s := dropSlot(id, lane, on)
	s.ByHand, s.Notice = nothingBackByHand, behindSwitch(on)
	return s
}

// EndedStatement tells whether nobody applies any more what the lane's subscription, which was disabled, would bring.
// The worker notices it at its next look, which may be a second away.
func EndedStatement(lane plan.RunID) string {
	return "select not exists (select from pg_stat_subscription s join pg_subscription u on u.oid = s.subid where u." + isOurs(lane) + " and s.pid is not null)"
}

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
	pgsync "pgleap/sync"
)

// Sync takes the upgrade to the point where a cutover can follow: begun anew, or gone on with. With a saved
// plan exactly that plan is carried out; one that no longer fits the servers is refused.
func Sync(ctx context.Context, c Config, saved *plan.Plan) error {
	c.TrialLoad = TrialNone // it loads for real, on an empty target
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	if known {
		if saved == nil { // how to walk, not what: the newest word counts
			r.Options.SlotTimeout, r.Options.Jobs = c.Options.SlotTimeout, c.Options.Jobs
			r.Options.CopyJobs = cmp.Or(c.Options.CopyJobs, r.Options.CopyJobs)
		}
		if err = r.errAborting(ctx); err == nil {
			err = r.resumable(ctx, saved)
		}
		if err == nil {
			err = r.stillFollows(ctx)
		}
		if err == nil {
			err = r.sayLimits(ctx, c.Options)
		}
		if saved == nil {
			r.tellIgnored(c.Options)
		}
	} else {
		err = r.begin(ctx, saved)
		r.tellWarnings()
	}
	if err != nil {
		return err
	}
	settings := schema.SessionSettings()
	if r.plan.Target.Role.Superuser {
		settings += "\n" + impatient
	}
	if _, err := r.target.Exec(ctx, settings); err != nil {
		return fmt.Errorf("set up the session on the target: %w", err)
	}
	err = r.upGuarded(ctx, plan.StageFinish)
	if err != nil && plan.KindOf(err) == "" && ctx.Err() == nil && (pg.ConnectionLost(err) || pgsync.SnapshotLost(err) || !r.source.Alive() || !r.target.Alive()) {
		return &plan.Failure{Err: err, Fix: "a connection was lost: when both servers can be reached, run pgleap sync again, it goes on"}
	}
	return err
}

// stillFollows refuses to call a run ready whose slot is gone: nothing can come any more.
func (r *run) stillFollows(ctx context.Context) error {
	done, err := r.journal.Stages(ctx)
	if err != nil || !done[plan.StagePublish] || done[plan.StageSwitch] {
		return err
	}
	if missing, err := r.unpublished(ctx); err != nil {
		return err
	} else if missing != "" {
		return plan.Fail(plan.KindNotReady, mendAnew, "%s", missing)
	}
	recorded, err := r.journal.Steps(ctx)
	if err != nil {
		return err
	}
	for _, l := range r.lanes {
		if !r.slotMade(l, recorded) {
			continue
		}
		if _, err = pgsync.ReadLag(ctx, r.source, l.Run); errors.Is(err, pgsync.ErrNoSlot) {
			return slotGone(err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// slotMade tells whether the lane's slot has to be there once the publication is: a copy in streams makes it, anew with
// every attempt.
func (r *run) slotMade(l plan.Lane, recorded map[plan.StepID]bool) bool {
	return r.Options.Copy != plan.CopyStream || recorded[l.Steps(plan.Step{ID: pgsync.StepStream})[0].ID]
}

// slotGone is what an ErrNoSlot means for the run.
func slotGone(err error) error {
	return plan.Fail(plan.KindNotReady, mendAnew, "what was written since cannot come any more: %w", err)
}

const mendAnew = "pgleap abort, then pgleap sync"

// unpublished says which publications are not there although they have to be, and what that means; "" if none.
func (r *run) unpublished(ctx context.Context) (string, error) {
	done, err := r.journal.Stages(ctx)
	if err != nil || !done[plan.StagePublish] || done[plan.StageSwitch] {
		return "", err
	}
	missing, err := pgsync.UnpublishedLanes(ctx, r.source, r.lanes)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	return "publication " + strings.Join(missing, ", ") + " is gone from the source, as behind pgleap abort without the target: nothing can be followed any more", nil
}

// tellIgnored says that what a run does was decided when it was begun.
func (r *run) tellIgnored(given plan.Options) {
	has, was := r.plan.Options, []string{}
	for _, o := range []struct {
		flag       string
		given, has any
		set        bool
	}{
		{"--schemas", given.Schemas, has.Schemas, len(given.Schemas) > 0},
		{"--tables", given.Tables, has.Tables, len(given.Tables) > 0},
		{"--exclude-tables", given.ExcludeTables, has.ExcludeTables, len(given.ExcludeTables) > 0},
		{"--lanes", given.Lanes, max(1, len(r.plan.Lanes)), given.Lanes > 0 && given.Lanes != has.Lanes}, // what was asked for, or what it came to
		{"--all-tables", given.AllTables, has.AllTables, given.AllTables},
		{"--set-replica-identity", given.SetReplicaIdentity, has.SetReplicaIdentity, given.SetReplicaIdentity},
		{"--copy", given.Copy, has.Copy, given.Copy != ""},
		{"--roles", given.Roles, has.Roles, given.Roles},
		{"--settings", given.Settings, has.Settings, given.Settings},
		{"--refresh-matviews", given.RefreshMatViews, has.RefreshMatViews, given.RefreshMatViews},
		{"--fence", given.Fence, has.Fence, given.Fence != ""},
		{"--copy-in-switch", given.CopyInSwitch, has.CopyInSwitch, given.CopyInSwitch},
		{"--no-way-back", given.NoWayBack, has.NoWayBack, given.NoWayBack},
	} {
		if o.set && !reflect.DeepEqual(o.given, o.has) {
			was = append(was, o.flag)
		}
	}
	if len(was) > 0 {
		r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("%s: NOT done, run %s was begun without it, and its plan stands. To change it: pgleap abort, then pgleap sync with the flags", strings.Join(was, ", "), r.Run)})
	}
}

// begin makes the plan, or takes the saved one if it is still true, and writes it into the journal.
func (r *run) begin(ctx context.Context, saved *plan.Plan) error {
	if saved != nil {
		given := limitsOf(r.Options)
		r.Options = saved.Options
		r.Options.Copy = cmp.Or(r.Options.Copy, plan.CopyServer)       // of before there was a choice
		r.Options.Spread = slices.Concat([][]plan.Name{}, saved.Lanes) // sizes have moved since
		r.Options.LateKeys = slices.Concat([]plan.Name{}, r.Options.LateKeys)
		given.over(&r.Options)
	}
	if r.Options.Copy != "" { // else the plan chooses, and it is asked behind it
		if err := r.mayHold(ctx); err != nil {
			return err
		}
	}
	p, err := Make(ctx, r.Config)
	if err != nil {
		return err
	}
	if plan.Blocked(p.Findings) {
		return &BlockedError{Plan: p}
	}
	if saved != nil {
		if err := same(*saved, p); err != nil {
			return err
		}
	}
	if r.sel, err = plan.Select(p.Source, p.Options); err != nil {
		return err
	}
	r.plan, r.Options, r.lanes = p, p.Options, p.LaneList(r.sel)
	if err := r.mayHold(ctx); err != nil {
		return err
	}
	r.point("journal.before")
	stage, _ := p.Stage(plan.StageSchema)
	step, _ := stage.Step(stepJournal)
	if err := r.journal.Create(ctx, p, step.Do.SQL); err != nil {
		return err
	}
	r.point("journal.done")
	return r.journal.Record(ctx, journal.Checked, plan.StageSchema, "", nil)
}

// same refuses a saved plan that differs from what would be planned now.
func same(saved, now plan.Plan) error {
	if saved.Run != now.Run {
		return plan.Fail(plan.KindUsage, fmt.Sprintf("use --run %s", saved.Run), "the plan is for run %s, not for run %s", saved.Run, now.Run)
	}
	if saved.Fingerprint() == now.Fingerprint() {
		return nil
	}
	text := ""
	for _, d := range saved.Drift(now) {
		text += "\n  " + d
	}
	return plan.Fail(plan.KindDrift, "make a new plan with pgleap plan --out, and have it read again", "the servers no longer match the saved plan:%s", text)
}

// resumable makes sure that the source still is what the journaled plan was made for.
func (r *run) resumable(ctx context.Context, saved *plan.Plan) error {
	if saved != nil && saved.Fingerprint() != r.plan.Fingerprint() {
		return plan.Fail(plan.KindDrift, "leave --plan out to go on with the run that was begun, or take it back with pgleap abort", "run %s was begun with another plan than this one", r.Run)
	}
	done, err := r.journal.Stages(ctx)
	if err != nil || done[plan.StageSwitch] {
		return err
	}
	now, err := Read(ctx, r.Config)
	if err != nil {
		return err
	}
	current := r.plan
	current.Source = now.Source
	text := ""
	for _, d := range r.plan.Drift(current) {
		text += "\n  " + d
	}
	if text != "" {
		return plan.Fail(plan.KindDrift, "undo the change on the source, or begin anew: pgleap abort, then pgleap sync", "the source has changed since the run was begun:%s", text)
	}
	return nil
}

// BlockedError carries the findings that stop an upgrade.
type BlockedError struct{ Plan plan.Plan }

// Error counts them; the findings themselves are printed by whoever knows how.
func (e *BlockedError) Error() string {
	n := 0
	for _, f := range e.Plan.Findings {
		if f.Severity == plan.Blocker {
			n++
		}
	}
	if n == 1 {
		return "1 finding blocks the upgrade: see pgleap check"
	}
	return fmt.Sprintf("%d findings block the upgrade: see pgleap check", n)
}

// Finalize gives up what is left: the fence on the old server and the journal.
func Finalize(ctx context.Context, c Config) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	if !known {
		return r.nothingLeft(ctx)
	}
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	if err := r.errRollingBack(ctx); err != nil {
		return err
	}
	if !done[plan.StageTeardown] {
		if err := r.errHalfOver(ctx, done); err != nil {
			return err
		}
		return plan.Fail(plan.KindNotReady, "finish it with pgleap cutover, or take it back with pgleap abort", "run %s has not been switched over", r.Run)
	}
	if err := r.errHeld(ctx); err != nil {
		return err
	}
	if err := r.refuseWitnessed(ctx); err != nil {
		return err
	}
	if err := r.dropProofs(ctx); err != nil {
		return err
	}
	if err := r.up(ctx, plan.StageFinalize); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("THE OLD SERVER %s TAKES WRITES AGAIN, which nobody carries over: shut it down, or keep every client away from it", r.Source)})
	return nil
}

// nothingLeft: a finalize that was killed between its two steps has dropped the source's part first, so
// without a journal there may be nothing of ours anywhere.
func (r *run) nothingLeft(ctx context.Context) error {
	if err := r.nothingOfIt(ctx); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing of pgleap is left on either side"})
	return nil
}

// nothingOfIt fails when the target has no journal of the run, and the source something of one.
func (r *run) nothingOfIt(ctx context.Context) error {
	o, err := r.place(ctx)
	if err == nil && o.run != "" {
		err = plan.Fail(plan.KindNotReady, "if this is the right target, take what is on the source away with: pgleap abort --source …; where the fence stands, finalize --source … --target-is-lost", "the target has no journal of run %s, but the source has a schema pgleap", r.Run)
	}
	return err
}

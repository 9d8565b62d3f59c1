package pipeline

import (
	"context"
	"fmt"
	"slices"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/traffic"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// Rollback goes back to the source without losing what was written to the target: the switch of a cutover in the other
// direction. Afterwards the run is ready for a cutover, as it was before the first. It goes on where an earlier, killed
// one stopped.
func Rollback(ctx context.Context, c Config) error {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.begun(ctx); err != nil {
		return err
	}
	r.choose(c.Options)
	switch needless, err := r.mayRollBack(ctx); {
	case err != nil:
		return err
	case needless:
		r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing to do: run " + string(r.Run) + " is rolled back, the source takes the writes and the target follows. pgleap cutover, to go to the target again"})
		return nil
	}
	if err := r.errWithoutPoolers(ctx, plan.Backward); err != nil {
		return err
	}
	returned, err := r.rollingBack(ctx)
	if err != nil {
		return err
	}
	defer r.tellStatus(ctx, traffic.Rollback)()
	back := r.turned().ends()
	r.openReport(ctx, back)
	if c.Control.Rehearse {
		err = wayBackLost(r.turned().rehearseSwitch(ctx, false))
		r.closeReport(ctx, back, err)
		return err
	}
	err = r.walkReturn(ctx, returned)
	r.closeReport(ctx, back, err)
	if err != nil {
		return err
	}
	r.tellNotBack()
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf(r.pointThem()+"%s. The new server follows it and stays fenced: who writes there gets SQLSTATE 25006. pgleap cutover%s goes to it again, pgleap abort takes everything back", r.Source, r.samePoolers())})
	return nil
}

// walkReturn is walkBack, with what its failure means.
func (r *run) walkReturn(ctx context.Context, returned bool) error {
	r.Emit = watchRelease(r.Emit, &returned)
	err := r.walkBack(ctx)
	switch {
	case err == nil:
		return nil
	case !returned:
		return wayBackLost(err)
	case plan.KindOf(err) != plan.KindPastReturn:
		return plan.Fail(plan.KindPastReturn, "the source takes the writes and the target stays fenced; mend the cause, then run pgleap rollback again, it goes on from here", "%w", err)
	}
	return err
}

// tellNotBack names what no replication carries.
func (r *run) tellNotBack() {
	for _, not := range []struct {
		of   []plan.Relation
		text string
	}{
		{r.sel.Unlogged, "unlogged tables hold on the old server what they held at the cutover: "},
		{populated(r.sel.MatViews), "materialized views of the old server are as they were at the cutover, refresh them: "},
	} {
		var names []string
		for _, n := range not.of {
			names = append(names, plan.OneLine(n.Name.String()))
		}
		if len(names) > 0 {
			r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageBackRelease, Message: not.text + someOf(names)})
		}
	}
}

// choose takes what the operator gave for this switch over the plan's own values.
func (r *run) choose(o plan.Options) {
	if o.MaxWriteStall > 0 {
		r.Options.MaxWriteStall = o.MaxWriteStall
	}
	if o.SequenceMargin >= 0 {
		r.Options.SequenceMargin = o.SequenceMargin
	}
}

// mayRollBack tells whether there is something to roll back; needless: it is done already.
func (r *run) mayRollBack(ctx context.Context) (needless bool, err error) {
	if !r.plan.HasWayBack() {
		return false, r.noWayBack()
	}
	done, err := r.journal.Stages(ctx)
	if err != nil || done[plan.StageTeardown] {
		return false, err
	}
	if err := r.errHalfOver(ctx, done); err != nil {
		return false, err
	}
	rolledBack, err := r.journal.Has(ctx, journal.RolledBack)
	if err != nil || rolledBack {
		return rolledBack, err
	}
	return false, plan.Fail(plan.KindNotReady, "pgleap abort takes back what pgleap sync has made", "run %s has not been switched over: the source takes the writes as ever", r.Run)
}

// walkBack walks the stages of the way back.
func (r *run) walkBack(ctx context.Context) error {
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	for _, stage := range r.plan.Back {
		if stage.Irreversible {
			ctx = context.WithoutCancel(ctx)
		}
		if done[stage.ID] {
			continue
		}
		if err := r.stage(ctx, stage); err != nil {
			return err
		}
	}
	back := r.turned()
	fence, _, err := back.fenceLSN(ctx)
	if err != nil {
		return err
	}
	r.point("rolled-back.before")
	if err := r.journal.Record(context.WithoutCancel(ctx), journal.RolledBack, "", "", nil); err != nil {
		return err
	}
	if r.stuck != nil {
		return r.stuck
	}
	return back.tellReturned(ctx, fence)
}

// switchBack walks the switch of the rollback.
func (r *run) switchBack(ctx context.Context, stage plan.Stage) error {
	t := r.turned()
	err := t.switchOver(ctx, stage)
	r.switched, r.definitions, r.stuck = t.switched, t.definitions, t.stuck
	return err
}

// gateBack is the gate of a rollback: it refuses one that cannot succeed, or would lose something, before anybody has to
// wait for it. r is the run as it goes forward.
func (r *run) gateBack(ctx context.Context) error {
	t := r.turned()
	if _, err := pgsync.ReadLag(ctx, t.source, r.Run.Back()); err != nil {
		return err
	}
	if err := r.comparedSoon(ctx, plan.Backward, func() error {
		if err := r.compare(ctx); err != nil {
			return err
		}
		return r.fitsBack(ctx)
	}); err != nil {
		return err
	}
	return t.awaitReady(ctx)
}

// fitsBack refuses when what came up on the target since the release is not carried back, or what is to follow the
// source afterwards is not there any more.
func (r *run) fitsBack(ctx context.Context) error {
	t := r.turned()
	for _, side := range []*run{r, t} {
		if err := side.stillPublished(ctx); err != nil {
			return err
		}
	}
	if err := t.filenodesUnchanged(ctx, t.source); err != nil {
		return err
	}
	for _, l := range r.lanes {
		w, err := pgsync.ReadWorker(ctx, r.target, l.Run)
		if err != nil {
			return err
		}
		if !w.Exists {
			return plan.Fail(plan.KindNotReady, "the target stays the truth: finish with pgleap finalize", "subscription %s was dropped from the target: it could not follow the source after a rollback", l.Object())
		}
	}
	return r.recheckBack(ctx)
}

// nothingNew refuses when the target has tables or sequences that the run knows nothing of: even where the source has
// them too, their contents do not go back.
func (r *run) nothingNew(facts plan.Facts) error {
	now, err := plan.Select(facts, r.Options)
	if err != nil {
		return err
	}
	known := map[plan.Name]bool{}
	for _, t := range r.sel.Fenced() {
		known[t.Name] = true
	}
	for _, s := range r.sel.Sequences {
		known[s.Name] = true
	}
	var names []string
	for _, t := range slices.Concat(now.Published, now.Unlogged) {
		if !known[t.Name] {
			names = append(names, "table "+plan.OneLine(t.Name.String()))
		}
	}
	for _, s := range now.Sequences {
		if !known[s.Name] {
			names = append(names, "sequence "+plan.OneLine(s.Name.String()))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return plan.Fail(plan.KindDrift, r.turned().anew(), "since the cutover there is on the new server what is not carried back: %s", someOf(names))
}

// backChecks are those of a source that count for a target that is left.
var backChecks = []string{"prepared-transactions", "long-transactions", "replica-identity", "identity-full", "large-objects", "unlogged-tables"}

// recheckBack judges the target as a source.
func (r *run) recheckBack(ctx context.Context) error {
	facts, err := catalog.Read(ctx, r.target, plan.Source, r.Run)
	if err != nil {
		return err
	}
	if err := r.nothingNew(facts); err != nil {
		return err
	}
	facts.Prepared = slices.DeleteFunc(facts.Prepared, func(p plan.PreparedTx) bool { return p.Database != facts.Database })
	var blockers []plan.Finding
	for _, f := range plan.Recheck(r.sel, facts, r.plan.Source, r.Options) {
		if slices.Contains(backChecks, f.Check) && f.Severity == plan.Blocker {
			blockers = append(blockers, f)
		}
	}
	if len(blockers) == 0 {
		return nil
	}
	return plan.Fail(plan.KindNotReady, "mend it on the target, then run pgleap rollback again",
		"the rollback was not begun, writes were never stopped: on the new server there is what cannot go back (read source as target):%s", listed(blockers, findingLine))
}

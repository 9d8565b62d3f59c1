package pipeline

import (
	"context"
	"fmt"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/traffic"
	"pgleap/plan"
)

// Repair lets the clients go on at the server that is the truth, after a switch that was killed together with its
// watchdog. It asks the same fact as the watchdog does, and refuses while a switch is alive.
func Repair(ctx context.Context, c Config) error {
	r := &run{Config: c}
	defer r.close()
	if err := r.lockSource(ctx); err != nil {
		return err
	}
	var err error
	if r.source, err = c.OpenSource(ctx); err != nil {
		return err
	}
	if err := r.ours(ctx); err != nil {
		return err
	}
	var fenced bool
	if err := r.source.QueryRow(ctx, "select "+plan.FenceStands).Scan(&fenced); err != nil {
		return fmt.Errorf("look for the fence: %w", err)
	}
	if !fenced { // whatever the target says: a source that takes writes is the truth
		return r.goOnAtSource(ctx)
	}
	return r.goOnBehindFence(ctx)
}

// lockSource takes the run lock there, and ends what a killed switch left: the fence's session may still hold the locks.
func (r *run) lockSource(ctx context.Context) error {
	s, err := pg.OpenSource(ctx, r.Source, r.forLock())
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, s.Session, plan.Source)); err != nil {
		s.Close()
		return err
	}
	return nil
}

func (r *run) lockTarget(ctx context.Context) error {
	t, err := pg.OpenTarget(ctx, r.Target, r.forLock())
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, t.Session, plan.Target)); err != nil {
		t.Close()
		return err
	}
	return nil
}

// ours refuses where the source does not know this run: without its mark an open source proves nothing.
func (r *run) ours(ctx context.Context) error {
	o, err := r.place(ctx)
	if err != nil {
		return err
	}
	if o.run == string(r.Run) {
		return nil
	}
	if o.run != "" {
		return plan.Fail(plan.KindBlocked, "name it with --run "+o.run, "schema pgleap on the source belongs to run %s, not to run %s", o.run, r.Run)
	}
	return plan.Fail(plan.KindNotReady, "see on each pooler's admin console (show databases) where its clients go; a paused one goes on by: resume",
		"the source has no mark of run %s: it was never begun, or is finalized, and which server is the truth cannot be told. Nothing was changed", r.Run)
}

// goOnAtSource takes back what a switch had begun.
func (r *run) goOnAtSource(ctx context.Context) error {
	t, err := r.openTraffic(ctx, r.Source, r.Target, traffic.Cutover)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Back(ctx); err != nil {
		return plan.Fail("", "mend it, then run pgleap repair again", "the source takes writes and is the truth, but not all clients go on there: %w", err)
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the fence does not stand: the source %s is the truth, and the clients of %s go on there. pgleap cutover tries again, pgleap abort gives up", r.Source, t)})
	return nil
}

// goOnBehindFence: the target is the truth, unless it is fenced too: then a switch was past its point of no return, and the
// journal knows which way.
func (r *run) goOnBehindFence(ctx context.Context) error {
	if err := r.lockTarget(ctx); err != nil {
		return r.behindFence(err)
	}
	var err error
	if r.target, err = r.OpenTarget(ctx); err != nil {
		return r.behindFence(err)
	}
	r.journal = journal.On(r.target, r.Run)
	if _, err := r.load(ctx); err != nil {
		return err
	}
	back, err := r.rollingBack(ctx)
	if err != nil {
		return err
	}
	from, to, direction, truth := r.Source, r.Target, traffic.Cutover, plan.Target
	var left traffic.Rest
	if back {
		from, to, direction, truth = r.Target, r.Source, traffic.Rollback, plan.Source
	} else {
		stage, _ := r.plan.Stage(plan.StageSwitch)
		deferred, err := r.deferred(ctx, stage)
		if err != nil {
			return err
		}
		left = rest(stage, deferred)
	}
	t, err := r.openTraffic(ctx, from, to, direction)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Onward(ctx, left, traffic.Process{}); err != nil {
		return r.behindFence(err)
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the fence was committed: the %s %s is the truth, and the clients of %s go on there. pgleap %s finishes the rest", truth, to, t, direction)})
	return nil
}

func (r *run) behindFence(err error) error {
	return plan.Fail(plan.KindPastReturn, "mend it, then run pgleap repair again", "the source is fenced, and not all clients go on at the server that is the truth: %w", err)
}

// rollingBack tells that both sides are fenced and the way was back: the run had been released, and no rollback had ended.
func (r *run) rollingBack(ctx context.Context) (bool, error) {
	var both bool
	if err := r.target.QueryRow(ctx, "select "+plan.FenceStands).Scan(&both); err != nil || !both {
		return false, err
	}
	kind, _, err := r.journal.Last(ctx, journal.Released, "rolled-back")
	return kind == journal.Released, err
}

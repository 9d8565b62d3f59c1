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
	t, err := r.openTraffic(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Back(ctx); err != nil {
		return plan.Fail("", "mend it, then run pgleap repair again", "the source takes writes and is the truth, but not all clients go on there: %w", err)
	}
	if err := r.goOnRecorded(ctx); err != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Message: "pgleap status will go on saying that the clients may be held, the journal cannot be written: " + pg.Message(err)})
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the fence does not stand: the source %s is the truth, and the clients of %s go on there. pgleap cutover tries again, pgleap abort gives up", r.Source, t)})
	return nil
}

// goOnRecorded notes in the journal that nobody is held any more, where it can be reached: the clients do not need it.
func (r *run) goOnRecorded(ctx context.Context) error {
	if err := r.lockTarget(ctx); err != nil {
		return err
	}
	r.journal = journal.On(r.target, r.Run)
	known, err := r.load(ctx)
	if err != nil || !known {
		return err
	}
	return r.holdEnds(ctx, journal.Undone)
}

// holdEnds records the end of a hold that has none yet.
func (r *run) holdEnds(ctx context.Context, kind string) error {
	last, err := r.lastHold(ctx)
	if err != nil || last != journal.Holding {
		return err
	}
	return r.journal.Record(ctx, kind, plan.StageSwitch, "", map[string]string{"cause": "pgleap repair let the clients go on"})
}

// goOnBehindFence: the target is the truth, unless it is fenced too: then a switch was past its point of no return, and the
// journal knows which way.
func (r *run) goOnBehindFence(ctx context.Context) error {
	if err := r.lockTarget(ctx); err != nil {
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
	to := r
	if back {
		to = r.turned()
	}
	if err := to.source.ExecDurably(ctx, plan.CloseGate); err != nil { // it is seen closed before it is on disk
		return r.behindFence(err)
	}
	stage := to.switchStage()
	deferred, err := r.deferred(ctx, stage)
	if err != nil {
		return err
	}
	t, err := to.openTraffic(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Onward(ctx, rest(stage, deferred), traffic.Process{}); err != nil {
		return r.behindFence(err)
	}
	if err := to.errStuck(t.Through(ctx)); err != nil {
		return err
	}
	if err := r.holdEnds(ctx, journal.Repaired); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the fence was committed: the %s %s is the truth, and the clients of %s go on there. pgleap %s finishes the rest", to.direction.To(), to.Target, t, t.Direction)})
	return nil
}

func (r *run) behindFence(err error) error {
	return plan.Fail(plan.KindPastReturn, "mend it, then run pgleap repair again", "the source is fenced, and not all clients go on at the server that is the truth: %w", err)
}

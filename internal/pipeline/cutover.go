package pipeline

import (
	"context"
	"fmt"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// Cutover stops the writes on the source and lets the target take them, then drops what carried the rows. It
// goes on where an earlier, killed one stopped.
func Cutover(ctx context.Context, c Config) error {
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
		if _, err := r.place(ctx); err != nil {
			return err
		}
		return plan.Fail(plan.KindNotReady, "run pgleap sync first", "the target has no journal of run %s", r.Run)
	}
	if err := r.errAborting(ctx); err != nil {
		return err
	}
	r.Options.MaxWriteStall, r.Options.SequenceMargin = c.Options.MaxWriteStall, c.Options.SequenceMargin
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	if !done[plan.StageFinish] {
		return plan.Fail(plan.KindNotReady, "run pgleap sync until it says that the target is ready", "run %s is not synchronised yet", r.Run)
	}
	if done[plan.StageTeardown] {
		r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing to do: run " + string(r.Run) + " has been switched over. pgleap finalize, when nobody needs the old server any more"})
		return nil
	}
	released := done[plan.StageSwitch]
	r.Emit = watchRelease(r.Emit, &released)
	err = r.up(ctx, plan.StageTeardown)
	if err != nil && released && plan.KindOf(err) != plan.KindPastReturn {
		return plan.Fail(plan.KindPastReturn, "the target takes the writes and the source stays fenced; mend the cause, then run pgleap cutover again, it goes on from here", "%w", err)
	}
	if err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("point the clients at %s. The old server stays fenced: who writes to it gets SQLSTATE 25006. pgleap finalize, when nobody needs it any more", r.Target)})
	return nil
}

// watchRelease notes when the point of no return is passed.
func watchRelease(emit func(plan.Event), released *bool) func(plan.Event) {
	return func(e plan.Event) {
		if e.Kind == plan.EventReleased {
			*released = true
		}
		if emit != nil {
			emit(e)
		}
	}
}

// switchOver walks the stage of the switch.
func (r *run) switchOver(ctx context.Context, stage plan.Stage) error {
	fenced, err := r.fenced(ctx, stage)
	if err != nil {
		return err
	}
	var definitions string
	if !fenced {
		step, _ := stage.Step(cutover.StepUnchanged)
		if definitions, err = cutover.Definitions(ctx, r.source, step.Do.SQL); err != nil {
			return err
		}
		if err := r.gate(ctx); err != nil {
			return err
		}
	}
	recorded, err := r.journal.Steps(ctx)
	if err != nil {
		return err
	}
	var deferred []plan.Step
	for _, s := range stage.Steps {
		if s.Recorded && !recorded[s.ID] {
			deferred = append(deferred, s)
		}
	}
	w := &cutover.Switch{
		Run: r.Run, Stage: stage, Budget: r.Options.MaxWriteStall, Connect: loader{r}, Definitions: definitions, Deferred: deferred, Emit: r.emit, Point: r.Point,
		Sequences: func(source *pg.Source, target *pg.Target) cutover.Sequences {
			c := r.carrier()
			c.Source, c.Target = source, target
			return c
		},
		Record: func(ctx context.Context, t *pg.Target, step plan.StepID) error {
			return journal.RecordOn(ctx, t, journal.StepDone, stage.ID, step, nil)
		},
	}
	result, err := w.Do(ctx)
	if err != nil {
		if plan.KindOf(err) == plan.KindNotSwitched {
			r.recordUndone(err)
		}
		return err
	}
	r.switched = result
	return r.journal.Record(context.WithoutCancel(ctx), journal.Released, stage.ID, "", result)
}

// recordUndone leaves a trace of an attempt that was taken back; without the target there is none.
func (r *run) recordUndone(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.journal.Record(ctx, journal.Undone, plan.StageSwitch, "", map[string]string{"cause": r.redact(cause.Error())}); err != nil {
		r.Log.Warn("the undone attempt is not in the journal", "error", err)
	}
	r.emit(plan.Event{Kind: plan.EventUndone, Stage: plan.StageSwitch, Message: "the switch is undone, the source is writable again"})
}

func (r *run) fenced(ctx context.Context, stage plan.Stage) (bool, error) {
	step, _ := stage.Step(cutover.StepFence)
	var state string
	if err := r.source.QueryRow(ctx, step.Probe).Scan(&state); err != nil {
		return false, fmt.Errorf("look for the fence: %w", err)
	}
	return state != string(plan.Absent), nil
}

// loader opens the switch's sessions: those on the target may have to create triggers.
type loader struct{ *run }

func (l loader) OpenTarget(ctx context.Context) (*pg.Target, error) { return l.openLoader(ctx) }

// gateLag is the lag, in bytes of WAL, above which a switch is not begun: the drain would eat the budget.
const gateLag = 8 << 20

// gateWait is how long the gate waits for the target to come near.
const gateWait = 2 * time.Minute

// gate refuses a switch that cannot succeed, before anybody has to wait for it.
func (r *run) gate(ctx context.Context) error {
	if err := r.compareSoon(ctx); err != nil {
		return err
	}
	var prepared int
	if err := r.source.QueryRow(ctx, `select count(*) from pg_prepared_xacts where database = current_database()`).Scan(&prepared); err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	if prepared > 0 {
		return plan.Fail(plan.KindNotReady, "commit or roll them back: select gid, owner, prepared from pg_prepared_xacts", "%d prepared transactions are open on the source: they hold locks that the fence would wait for", prepared)
	}
	limited, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		reason, err := r.notReady(ctx)
		if err != nil || reason == "" {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventWaiting, Stage: plan.StageSwitch, Message: reason})
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return plan.Fail(plan.KindNotReady, "see pgleap status; run pgleap cutover again when the target has caught up", "%s", reason)
		case <-tick.C:
		}
	}
}

// notReady says what stands in the way of a switch right now, or "".
func (r *run) notReady(ctx context.Context) (string, error) {
	w, err := pgsync.ReadWorker(ctx, r.target, r.Run)
	if err != nil {
		return "", err
	}
	if !w.Exists || !w.Enabled || w.PID == nil {
		return w.Trouble(), nil
	}
	states, err := pgsync.Tables(ctx, r.target, r.Run)
	if err != nil {
		return "", err
	}
	if ready, _ := pgsync.Progress(states, nil); ready != len(r.sel.Published)+1 {
		return fmt.Sprintf("%d of %d tables are ready", ready, len(r.sel.Published)+1), nil
	}
	lag, err := pgsync.ReadLag(ctx, r.source, r.Run)
	if err != nil {
		return "", err
	}
	if !lag.Active {
		return "the slot is not in use: the target does not receive anything", nil
	}
	if lag.Bytes > gateLag {
		return fmt.Sprintf("the target is %s behind, more than %s: the drain would take too long", plan.HumanBytes(lag.Bytes), plan.HumanBytes(gateLag)), nil
	}
	return "", nil
}

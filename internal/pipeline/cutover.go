package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/sequences"
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
	// The plan's own values stand unless the operator gave others for this cutover.
	if c.Options.MaxWriteStall > 0 {
		r.Options.MaxWriteStall = c.Options.MaxWriteStall
	}
	if c.Options.SequenceMargin >= 0 {
		r.Options.SequenceMargin = c.Options.SequenceMargin
	}
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
	if errors.Is(err, pgsync.ErrNoSlot) && !released {
		return slotGone(err)
	}
	if err != nil && released && plan.KindOf(err) != plan.KindPastReturn {
		return plan.Fail(plan.KindPastReturn, "the target takes the writes and the source stays fenced; mend the cause, then run pgleap cutover again, it goes on from here", "%w", err)
	}
	if err != nil {
		return err
	}
	if err := r.errNotProven(); err != nil {
		return err
	}
	if err := r.tellWitness(ctx); err != nil {
		return err
	}
	r.tellWarnings()
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("point the clients at %s. The old server stays fenced: who writes to it gets SQLSTATE 25006. pgleap finalize, when nobody needs it any more", r.Target)})
	return nil
}

// tellWarnings repeats the warnings that the run was begun with: nothing is lost in silence, whether somebody
// accepted it or nobody read it.
func (r *run) tellWarnings() {
	for _, f := range r.plan.Findings {
		if f.Severity != plan.Warning {
			continue
		}
		word := "warning, which nobody accepted: "
		if f.Accepted {
			word = "warning, accepted: "
		}
		r.emit(plan.Event{
			Kind: plan.EventNote, Data: map[string]any{"check": f.Check, "accepted": f.Accepted},
			Message: word + plan.OneLine(f.Check+": "+strings.ReplaceAll(f.Problem, "\n", "; ")),
		})
	}
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
		if err := r.stillFenced(ctx); err != nil {
			return err
		}
		step, _ := stage.Step(cutover.StepUnchanged)
		if definitions, err = cutover.Definitions(ctx, r.source, step.Do.SQL); err != nil {
			return err
		}
		if err := r.gate(ctx); err != nil {
			return err
		}
		if err := r.makeWitness(ctx); err != nil {
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
	if err := r.openProof(ctx, r); err != nil {
		return err
	}
	defer r.proof.Close()
	w := &cutover.Switch{
		Run: r.Run, Subscription: r.Run.Object(), Stage: stage, Budget: r.Options.MaxWriteStall, Jobs: r.Options.Jobs, Fenced: len(r.sel.Fenced()), Connect: loader{r}, Definitions: definitions, Unchanged: r.filenodesUnchanged, Deferred: deferred, Emit: r.emit, Point: r.Point,
		Traffic: r.traffic(), Back: r.back(), Await: r.await, Quiet: r.quiet, Prove: r.prove,
		Readers: sequences.Readers(len(r.sel.Sequences)),
		Sequences: func(sources []*pg.Source, target *pg.Target) cutover.Sequences {
			c := r.carrier()
			c.Source, c.More, c.Target = sources[0], sources[1:], target
			return c
		},
		Record: func(ctx context.Context, t *pg.Target, step plan.StepID) error {
			return journal.RecordOn(ctx, t, journal.StepDone, stage.ID, step, nil)
		},
	}
	result, err := w.Do(ctx)
	r.definitions = definitions
	if err != nil {
		if k := plan.KindOf(err); k == plan.KindNotSwitched || k == plan.KindInterrupted {
			r.dropWitness(ctx)
		}
		if plan.KindOf(err) == plan.KindNotSwitched {
			r.recordUndone(err)
		}
		return err
	}
	r.switched = result
	return r.journal.Record(context.WithoutCancel(ctx), journal.Released, stage.ID, "", result)
}

// stillFenced refuses to begin anew when the target was released and the fence is gone: clients may write to
// both servers, and a second switch would set the target's sequences back.
func (r *run) stillFenced(ctx context.Context) error {
	released, err := r.journal.Has(ctx, journal.Released)
	if err != nil || !released {
		return err
	}
	return plan.Fail(plan.KindPastReturn, "the target is the truth: keep every client off the old server, compare what was written to it since, and end the run by hand (drop subscription, slot, publication and schema pgleap)",
		"run %s was released, but the fence is gone from the source: somebody dropped it by hand", r.Run)
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

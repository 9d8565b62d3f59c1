package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/internal/hooks"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/traffic"
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
	if err := r.begun(ctx); err != nil {
		return err
	}
	if err := r.errRollingBack(ctx); err != nil {
		return err
	}
	r.choose(c.Options)
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	if !done[plan.StageFinish] {
		return plan.Fail(plan.KindNotReady, "run pgleap sync until it says that the target is ready", "run %s is not synchronised yet", r.Run)
	}
	if done[plan.StageTeardown] && !c.Control.Rehearse {
		if err := r.errHeld(ctx); err != nil {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing to do: run " + string(r.Run) + " has been switched over. pgleap finalize, when nobody needs the old server any more"})
		return nil
	}
	if err := r.errWithoutPoolers(ctx, plan.Forward); err != nil {
		return err
	}
	defer r.tellStatus(ctx, traffic.Cutover)()
	r.openReport(ctx, r.ends())
	if c.Control.Rehearse {
		err = r.rehearseSwitch(ctx, done[plan.StageSwitch])
		r.closeReport(ctx, r.ends(), err)
		return err
	}
	if err = r.walkCutover(ctx, done[plan.StageSwitch]); err == nil {
		err = r.stuck
	}
	r.closeReport(ctx, r.ends(), err)
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
	back := ""
	if r.plan.HasWayBack() {
		back = ". pgleap rollback" + r.samePoolers() + " goes back to it without a loss, until pgleap finalize"
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf(r.pointThem()+"%s. The old server stays fenced: who writes to it gets SQLSTATE 25006%s. pgleap finalize, when nobody needs it any more", r.Target, back)})
	return nil
}

// begun reads a run that a switch can be made of, in whichever direction: it is known, and no abort takes it back.
func (r *run) begun(ctx context.Context) error {
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
	return r.errAborting(ctx)
}

// walkCutover walks the stages from the switch on.
func (r *run) walkCutover(ctx context.Context, released bool) error {
	r.Emit = watchRelease(r.Emit, &released)
	err := r.up(ctx, plan.StageTeardown)
	if errors.Is(err, pgsync.ErrNoSlot) && !released {
		return slotGone(err)
	}
	if err != nil && released && plan.KindOf(err) != plan.KindPastReturn {
		return plan.Fail(plan.KindPastReturn, "the target takes the writes and the source stays fenced; mend the cause, then run pgleap cutover again, it goes on from here", "%w", err)
	}
	return err
}

// rehearseSwitch makes the switch up to its point of no return, and gives everything back. Nothing of it is recorded
// that a cutover reads.
func (r *run) rehearseSwitch(ctx context.Context, switched bool) error {
	stage := r.switchStage()
	if switched {
		return plan.Fail(plan.KindNotReady, "pgleap status tells what is next", "there is nothing to rehearse: run %s has been switched over", r.Run)
	}
	fenced, err := r.fenced(ctx)
	if err != nil {
		return err
	}
	if fenced {
		return plan.Fail(plan.KindPastReturn, "run pgleap "+r.Verb+": it goes on behind the fence", "there is nothing to rehearse: the fence stands, an earlier %s has passed its point of no return", r.Verb)
	}
	started := time.Now()
	r.emit(plan.Event{Kind: plan.EventStage, Stage: stage.ID, Message: "rehearsal: " + stage.Title})
	if err := r.switchOver(ctx, stage); err != nil {
		return err
	}
	text := fmt.Sprintf("rehearsed, and given back: %s. Writes stood still for %.0f ms; the real one would take about %.0f ms", r.switched, r.switched.StallMS, r.switched.StallMS)
	if n := copySteps(stage); n > 0 {
		text += fmt.Sprintf(", and as long as what is copied in the switch takes, which was left out (%s)", plan.Plural(n, "step"))
	}
	r.emit(plan.Event{Kind: plan.EventDone, Stage: stage.ID, Message: text, Seconds: time.Since(started).Seconds(), Data: map[string]any{"rehearsed": r.switched}})
	return nil
}

// copySteps is how many steps copy while writes stand still.
func copySteps(stage plan.Stage) (n int) {
	for _, s := range stage.Steps {
		if cutover.IsCopy(s) {
			n++
		}
	}
	return n
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
	err := r.switchIn(ctx, stage)
	if r.Control.Rehearse || err != nil && plan.KindOf(err) != plan.KindPastReturn {
		r.relax(stage)
	}
	return err
}

// switchIn walks the stage of the switch, in the run's direction.
func (r *run) switchIn(ctx context.Context, stage plan.Stage) error {
	fenced, err := r.fenced(ctx)
	if err != nil {
		return err
	}
	moving, err := r.openTraffic(ctx)
	if err != nil {
		return err
	}
	defer moving.Close()
	r.moving = moving
	w := &cutover.Switch{}
	gate := func(ctx context.Context) error {
		definitions, err := r.throughGate(ctx, moving)
		if stop := panicOf(ctx); stop != nil {
			return fmt.Errorf("the switch was not begun, no write was stopped: %w", stop)
		}
		w.Definitions = definitions
		return err
	}
	if fenced {
		_, err := r.held(ctx, moving)
		if err == nil {
			err = moving.Err()
		}
		if err == nil {
			err = r.durable(ctx)
		}
		if err != nil {
			return plan.Fail(plan.KindPastReturn, r.direction.Words("mend it, then run pgleap cutover again, it goes on from here"), r.direction.Words("the source stays fenced and the target is the truth, but the clients cannot be moved there")+": %w", err)
		}
	} else {
		if err := r.stillFenced(ctx); err != nil {
			return err
		}
		var stop context.CancelFunc
		ctx, stop = r.Control.withPanicFile(ctx, r.Verb)
		defer stop()
		if err := gate(ctx); err != nil {
			return err
		}
	}
	r.control = r.newControl(gate)
	deferred, err := r.deferred(ctx, stage)
	if err != nil {
		return err
	}
	back := r.back()
	if f, ok := back.(*following); ok {
		defer f.close()
	}
	if err := r.openProof(ctx, r); err != nil {
		return err
	}
	defer r.proof.Close()
	*w = cutover.Switch{
		Run: r.Run, Direction: r.direction, Subscriptions: objects(r.carrying()), Stage: stage, Budget: r.Options.MaxWriteStall, Jobs: r.Options.Jobs, Connect: loader{r}, Definitions: w.Definitions, Unchanged: r.filenodesUnchanged, Deferred: deferred, Emit: r.emit, Point: r.Point,
		Tables: len(r.sel.Fenced()), Readers: sequences.Readers(len(r.sel.Sequences)), Traffic: moving, Back: back, Rehearse: r.Control.Rehearse,
		Released: func(ctx context.Context, result cutover.Result) error {
			return r.recordReleased(ctx, stage, moving, located(result, back))
		},
		Prove: func(ctx context.Context) []cutover.Refusal {
			r.stuck = r.errStuck(moving.Through(ctx)) // first the clients, then our own work
			return r.prove(ctx)
		},
		Fenced: func(fence, opens cutover.Process) { moving.Fenced(traffic.Process(fence), traffic.Process(opens)) },
		Await: func(ctx context.Context) error {
			if r.control.takesLong() {
				r.relax(stage)
			}
			if err := r.await(ctx); err != nil {
				return err
			}
			if err := r.durable(ctx); err != nil {
				return err
			}
			if err := r.makeWitness(ctx); err != nil {
				return err
			}
			return r.arm(ctx, moving, rest(stage, deferred))
		},
		Quiet: func(ctx context.Context) error {
			if err := r.quiet(ctx); err != nil {
				return err
			}
			r.saw = moving.Saw(ctx)
			return r.advanceAgain(ctx, back)
		},
		Sequences: func(sources []*pg.Source, target *pg.Target) cutover.Sequences {
			c := r.carrier()
			c.Source, c.More, c.Target = sources[0], sources[1:], target
			return c
		},
		Record: func(ctx context.Context, t *pg.Target, step plan.StepID) error {
			return journal.RecordOn(ctx, t, journal.StepDone, stage.ID, step, nil)
		},
		Marked: func(ctx context.Context, t *pg.Target, lsn string) error {
			return journal.RecordOn(ctx, t, journal.Marked, stage.ID, "", marked{stage.ID, lsn})
		},
		MarkedAt: r.markedAt,
	}
	result, err := w.Do(ctx)
	result = located(result, back)
	r.definitions = w.Definitions
	r.reportSwitch(ctx, r.ends(), result, err)
	if err != nil {
		return r.notMade(ctx, w, moving, fenced, result, err)
	}
	return r.made(ctx, stage, moving, result)
}

// located is the result with the position from which on the way back gives what is written.
func located(result cutover.Result, back cutover.Back) cutover.Result {
	if f, ok := back.(*following); ok {
		result.BackLSN = f.position
	}
	return result
}

// notMade writes down and tells what became of a switch that failed. Behind a fence that stood already nothing is undone,
// whatever the error says of itself.
func (r *run) notMade(ctx context.Context, w *cutover.Switch, moving *traffic.Traffic, fenced bool, result cutover.Result, err error) error {
	kind := plan.KindOf(err)
	if fenced && kind != plan.KindPastReturn {
		kind, err = plan.KindPastReturn, plan.Fail(plan.KindPastReturn, r.direction.Words("mend it, then run pgleap cutover again, it goes on from here"), r.direction.Words("the source stays fenced and the target is the truth")+": %s", pg.Message(err))
	}
	if kind != plan.KindPastReturn {
		r.forgetWitness(ctx)
	}
	if kind == plan.KindNotSwitched || kind == plan.KindInterrupted || moving.Armed() && !w.Begun() && kind != plan.KindPastReturn {
		r.recordUndone(err)
	}
	if w.Begun() && (kind == plan.KindNotSwitched || kind == plan.KindInterrupted) {
		r.emit(plan.Event{Kind: plan.EventUndone, Stage: w.Stage.ID, Message: r.direction.Words("the switch is undone, the source is writable again")})
	}
	tellHooks(ctx, moving, hooks.AfterRelease, result, err)
	return err
}

// made writes down and tells that a switch was made, or rehearsed.
func (r *run) made(ctx context.Context, stage plan.Stage, moving *traffic.Traffic, result cutover.Result) error {
	r.switched = result
	if r.Control.Rehearse { // nothing is left of it, and whoever asks what became of the attempt must know
		r.forgetWitness(ctx)
		if moving.Armed() {
			moving.Tell(context.WithoutCancel(ctx), hooks.OnAbort, moving.Undone("it was a rehearsal: everything is given back"))
		}
		return r.journal.Record(context.WithoutCancel(ctx), journal.Undone, stage.ID, "", map[string]string{"cause": "it was a rehearsal"})
	}
	r.turned().forgetWitness(ctx) // that side takes writes again: an earlier witness of it has nothing more to say
	if exists(r.Control.PanicFile) {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: stage.ID, Message: "too late, nothing is undone behind the point of no return: " + r.Control.PanicFile + " is there"})
	}
	return nil
}

// recordReleased writes the release down, and calls the hook.
func (r *run) recordReleased(ctx context.Context, stage plan.Stage, moving *traffic.Traffic, result cutover.Result) error {
	kind, hook := journal.Released, hooks.AfterRelease
	if r.direction == plan.Backward {
		kind, hook = journal.Returned, hooks.OnRollback
	}
	err := r.journal.Record(ctx, kind, stage.ID, "", result)
	tellHooks(ctx, moving, hook, result, nil)
	return err
}

// marked is what a record of kind journal.Marked holds.
type marked struct {
	Stage plan.StageID `json:"stage"`
	LSN   string       `json:"fence_lsn"`
}

// markedAt is the fence LSN of the attempt whose fence stands; "" where the journal does not know it.
func (r *run) markedAt(ctx context.Context) (string, error) {
	var m marked
	kind, data, err := r.journal.Last(ctx, journal.Marked, journal.Undone, journal.RolledBack)
	if err != nil || kind != journal.Marked {
		return "", err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Stage != r.switchStage().ID {
		return "", err
	}
	return m.LSN, nil
}

// throughGate makes the gate's checks, and returns the definitions as they were before: what changes while the gate
// compares them is seen behind the locks.
func (r *run) throughGate(ctx context.Context, moving *traffic.Traffic) (definitions string, err error) {
	if err := r.errLocksLost(ctx); err != nil {
		return "", err
	}
	if err := r.judgePoolers(ctx, moving); err != nil {
		return "", err
	}
	if definitions, err = cutover.Definitions(ctx, r.source, r.switchStep(cutover.StepUnchanged).Do.SQL); err != nil {
		return "", err
	}
	if r.direction == plan.Backward {
		return definitions, r.turned().gateBack(ctx)
	}
	return definitions, r.gate(ctx)
}

// stillFenced refuses to begin anew when the target was released and the fence is gone: clients may write to
// both servers, and a second switch would set the target's sequences back.
func (r *run) stillFenced(ctx context.Context) error {
	if r.direction == plan.Backward {
		return r.stillFencedBack(ctx)
	}
	released, err := r.journal.Has(ctx, journal.Released)
	if err != nil || !released {
		return err
	}
	return plan.Fail(plan.KindPastReturn, "the target is the truth: keep every client off the old server, compare what was written to it since, and end the run by hand (drop subscription, slot, publication and schema pgleap)",
		"run %s was released, but the fence is gone from the source: somebody dropped it by hand", r.Run)
}

// stillFencedBack is stillFenced for a rollback, whose end alone is recorded.
func (r *run) stillFencedBack(ctx context.Context) error {
	returned, err := r.journal.Has(ctx, journal.Returned)
	if err != nil || !returned {
		return err
	}
	return plan.Fail(plan.KindPastReturn, "the source is the truth: keep every client off the target, and take the run back with pgleap abort when the rollback's record is mended",
		"run %s was rolled back, but the fence is gone from the target: somebody dropped it by hand", r.Run)
}

// recordUndone leaves a trace of an attempt that was taken back; without the target there is none.
func (r *run) recordUndone(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.journal.Record(ctx, journal.Undone, r.switchStage().ID, "", map[string]string{"cause": r.redact(cause.Error())}); err != nil {
		r.Log.Warn("the undone attempt is not in the journal", "error", err)
	}
}

func (r *run) fenced(ctx context.Context) (bool, error) {
	var state string
	if err := r.source.QueryRow(ctx, r.switchStep(cutover.StepFence).Probe).Scan(&state); err != nil {
		return false, fmt.Errorf("look for the fence: %w", err)
	}
	return state != string(plan.Absent), nil
}

// loader opens the switch's sessions: those on the target may have to create triggers.
type loader struct{ *run }

func (l loader) OpenTarget(ctx context.Context) (*pg.Target, error) {
	return l.openLoader(ctx, plan.Stage{})
}

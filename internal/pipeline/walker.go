package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// up walks the stages from the first unfinished one through until. It is idempotent: what the journal or the
// catalogs call done is skipped.
func (r *run) up(ctx context.Context, until plan.StageID) error {
	done, err := r.journal.Stages(ctx)
	if err != nil {
		return err
	}
	for _, stage := range r.plan.Stages {
		if stage.ID == plan.StageRefresh && done[plan.StageSwitch] {
			continue
		}
		if stage.Irreversible { // behind the point of no return an interrupt is acknowledged and ignored
			ctx = context.WithoutCancel(ctx)
		}
		if done[stage.ID] {
			if until == plan.StageFinish { // later verbs need not recount what sync did
				r.emit(plan.Event{Kind: plan.EventSkipped, Stage: stage.ID, Message: stage.Title})
			}
		} else if err := r.stage(ctx, stage); err != nil {
			return err
		}
		if stage.ID == until {
			return nil
		}
	}
	return nil
}

func (r *run) stage(ctx context.Context, stage plan.Stage) error {
	if err := r.errLocksLost(ctx); err != nil {
		return err
	}
	started := time.Now()
	r.emit(plan.Event{Kind: plan.EventStage, Stage: stage.ID, Message: stage.Title})
	walk := r.steps
	switch stage.ID {
	case plan.StageSwitch:
		walk = r.switchOver
	case plan.StageBackSwitch:
		walk = r.switchBack
	case plan.StageRefresh:
		walk = r.refreshAnew
	}
	if stage.ID == plan.StageSchema {
		walk = r.defining
	}
	if err := walk(ctx, stage); err != nil {
		return err
	}
	if stage.ID == plan.StageSwitch || stage.ID == plan.StageBackSwitch { // the point of no return is passed: an interrupt is acknowledged and ignored
		ctx = context.WithoutCancel(ctx)
	}
	switch stage.ID {
	case plan.StageFinalize: // it drops the journal itself
	case plan.StageRefresh: // the next attempt does it again
		r.point(string(stage.ID) + ".done")
	default:
		r.point(string(stage.ID) + ".done")
		if err := r.journal.Record(ctx, journal.StageDone, stage.ID, "", nil); err != nil {
			return err
		}
	}
	r.emit(plan.Event{Kind: plan.EventDone, Stage: stage.ID, Message: r.summary(stage), Seconds: time.Since(started).Seconds()})
	return nil
}

// defining walks the stage that makes thousands of definitions on the target, and nothing elsewhere: its commits need not
// be waited for. Each has its record in it, and the stage's own record, which is waited for, covers them all.
func (r *run) defining(ctx context.Context, stage plan.Stage) error {
	if _, err := r.target.Exec(ctx, "set synchronous_commit = off"); err != nil {
		return err
	}
	if err := r.steps(ctx, stage); err != nil {
		return err
	}
	_, err := r.target.Exec(ctx, "reset synchronous_commit")
	return err
}

// errLocksLost fails when another pgleap may be walking by now.
func (r *run) errLocksLost(ctx context.Context) error {
	for _, l := range r.locks {
		if err := l.Held(ctx); err != nil {
			return err
		}
	}
	return nil
}

// steps walks a stage's steps; neighbours of one batch go side by side.
func (r *run) steps(ctx context.Context, stage plan.Stage) error {
	recorded, err := r.recorded(ctx, stage)
	if err != nil {
		return err
	}
	for rest := stage.Steps; len(rest) > 0; {
		if n := early(rest[1:]); n > 0 {
			if err := r.loadTables(ctx, stage, rest[0], rest[1:1+n], recorded); err != nil {
				return err
			}
			rest = rest[1+n:]
			continue
		}
		n := 1
		for n < len(rest) && rest[0].Batch != "" && rest[n].Batch == rest[0].Batch {
			n++
		}
		if rest[0].Batch != "" {
			err = r.batch(ctx, stage, rest[:n], recorded)
		} else {
			err = r.step(ctx, r.target, stage, rest[0], recorded)
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// recorded reads which steps of the stage are in the journal, where one of them can be.
func (r *run) recorded(ctx context.Context, stage plan.Stage) (map[plan.StepID]bool, error) {
	if !slices.ContainsFunc(stage.Steps, func(s plan.Step) bool { return s.Recorded }) {
		return nil, nil
	}
	return r.journal.Steps(ctx)
}

// batch runs steps side by side on sessions of their own, the heaviest first.
func (r *run) batch(ctx context.Context, stage plan.Stage, steps []plan.Step, recorded map[plan.StepID]bool) error {
	var todo []plan.Step
	for _, s := range steps {
		if !recorded[s.ID] {
			todo = append(todo, s)
		}
	}
	slices.SortStableFunc(todo, func(a, b plan.Step) int { return int(min(max(b.Weight-a.Weight, -1), 1)) })
	jobs := min(max(r.Options.Jobs, 1), len(todo))
	queue := make(chan plan.Step)
	group, inner := errgroup.WithContext(ctx)
	for range jobs {
		group.Go(func() error {
			t, err := r.openLoader(inner, stage)
			if err != nil {
				return err
			}
			defer t.Close()
			for s := range queue {
				if err := r.step(inner, t, stage, s, recorded); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(queue)
		for i, s := range todo {
			select {
			case queue <- s:
				r.emit(plan.Event{Kind: plan.EventProgress, Stage: stage.ID, Message: s.Title, Data: map[string]any{"batch": s.Batch, "done": i, "of": len(todo)}})
			case <-inner.Done():
				return inner.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// step does one step unless it is done, and makes sure of it afterwards.
func (r *run) step(ctx context.Context, t *pg.Target, stage plan.Stage, s plan.Step, recorded map[plan.StepID]bool) error {
	if s.Recorded && recorded[s.ID] {
		return nil
	}
	if err := r.admitted(ctx, stage, s); err != nil {
		return err
	}
	if s.Recorded {
		r.point(string(s.ID) + ".before")
		started := time.Now()
		if err := r.awaited(ctx, t, stage, s); err != nil {
			return err
		}
		r.done(stage, s, started)
		return nil
	}
	state, err := r.probe(ctx, s)
	if err != nil || state == plan.Done {
		return err
	}
	r.point(string(s.ID) + ".before")
	started := time.Now()
	if err := r.do(ctx, stage, s); err != nil {
		return err
	}
	r.point(string(s.ID) + ".after")
	if state, err = r.probe(ctx, s); err != nil {
		return err
	}
	if state != plan.Done {
		return &plan.StepError{Stage: stage.ID, Step: s.ID, On: s.On, SQL: s.Do.SQL, Err: errors.New("was carried out without an error, and is not there afterwards")}
	}
	r.done(stage, s, started)
	return nil
}

// awaited is doRecorded that says whom it waits for; neighbours of a batch, on sessions of their own, do not.
func (r *run) awaited(ctx context.Context, t *pg.Target, stage plan.Stage, s plan.Step) error {
	if t != r.target {
		return r.doRecorded(ctx, t, stage, s)
	}
	_, err := r.watched(ctx, s.ID, func() error { return r.doRecorded(ctx, t, stage, s) })
	return err
}

func (r *run) done(stage plan.Stage, s plan.Step, started time.Time) {
	r.point(string(s.ID) + ".done")
	e := plan.Event{Kind: plan.EventStep, Stage: stage.ID, Step: s.ID, Message: s.Title, Seconds: time.Since(started).Seconds()}
	if s.Batch != "" {
		e.Data = map[string]any{"batch": s.Batch}
	}
	r.emit(e)
}

// probe asks the side the step is on.
func (r *run) probe(ctx context.Context, s plan.Step) (plan.State, error) {
	var text string
	var q pg.Querier = r.target
	if s.On == plan.Source {
		q = r.source
	}
	if err := q.QueryRow(ctx, s.Probe).Scan(&text); err != nil {
		return "", fmt.Errorf("look whether step %s is done: %w", s.ID, err)
	}
	state := plan.State(text)
	if state != plan.Absent && state != plan.Done {
		return "", plan.Fail(plan.KindDrift, "put it right by hand and run the same command again, or take everything back with pgleap abort", "step %s on the %s: %s", s.ID, s.On, text)
	}
	return state, nil
}

// do carries out a step that is probed.
func (r *run) do(ctx context.Context, stage plan.Stage, s plan.Step) error {
	var err error
	switch {
	case s.Do.Call != "":
		return r.call(ctx, s.Do.Call, s)
	case s.On == plan.Source && holdsSecret(s.Do.SQL):
		return r.subscribeSource(ctx, stage, s)
	case s.On == plan.Source:
		_, err = r.watched(ctx, s.ID, func() error {
			_, err := r.source.Exec(ctx, s.Do.SQL)
			return err
		})
	default:
		_, err = r.target.Exec(ctx, s.Do.SQL)
	}
	if err != nil {
		return schema.Explain(stage.ID, s, err)
	}
	return nil
}

// doRecorded carries out a step on the target and records it in the same transaction. Against apply and
// against its neighbours it can deadlock: then it was rolled back whole, and is tried again.
func (r *run) doRecorded(ctx context.Context, t *pg.Target, stage plan.Stage, s plan.Step) error {
	if s.Do.Call == "" && holdsSecret(s.Do.SQL) {
		_, conninfo := r.laneConfig(s).conninfoFor(plan.Target)
		knowing, err := r.openKnowing(ctx, plan.Target, r.Target, conninfo)
		if err != nil {
			return err
		}
		defer knowing.Close()
		t = &pg.Target{Session: knowing}
	}
	began, refused := time.Now(), ""
	for attempt := 1; ; attempt++ {
		err := t.InTransaction(ctx, func() error {
			if attempt > impatientAttempts && r.plan.Target.Role.Superuser {
				if _, err := t.Exec(ctx, patient); err != nil {
					return err
				}
			}
			if err := r.statements(ctx, t, stage, s); err != nil {
				return err
			}
			return journal.RecordOn(ctx, t, journal.StepDone, stage.ID, s.ID, nil)
		})
		if text := r.raced(s, err); text != "" && text != refused && (attempt < maxAttempts || time.Since(began) < racePatience) { // one attempt over large tables can take longer
			refused = text
			if err := r.meet(ctx, stage.ID, s, err); err != nil {
				return err
			}
			continue
		}
		if err == nil || attempt >= maxAttempts || !collided(s, err) {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventNote, Stage: stage.ID, Step: s.ID, Message: s.Title + ": it collided with another session, tried again"})
	}
}

const (
	maxAttempts = 10
	// Of two that wait for each other the one gives way that looks first. An autovacuum always does, apply only when it is
	// the one that looks: where it is apply that we meet again and again, it is let look first.
	impatientAttempts = 2
	patient           = "set local deadlock_timeout = '10s'"
)

// collided tells whether the same step can succeed when it is tried again.
func collided(s plan.Step, err error) bool {
	code := pg.Code(err)
	return code == pg.CodeDeadlock || s.Do.Call == callChangeRoles && slices.Contains(rolesCollide, code)
}

func (r *run) statements(ctx context.Context, t *pg.Target, stage plan.Stage, s plan.Step) error {
	if s.Do.Call != "" {
		return r.call(ctx, s.Do.Call, s)
	}
	if !holdsSecret(s.Do.SQL) {
		return schema.Load(ctx, t, stage.ID, s)
	}
	mark, _ := r.conninfoFor(plan.Target)
	return r.sendSubscription(ctx, t.Session, stage, s, mark)
}

// sendSubscription sends a statement that holds a connection string, in the open transaction of a session that knows it.
func (r *run) sendSubscription(ctx context.Context, on *pg.Session, stage plan.Stage, s plan.Step, mark string) error {
	if err := r.execSecret(ctx, on, mark, s.Do.SQL); err != nil {
		return &plan.StepError{Stage: stage.ID, Step: s.ID, On: s.On, SQL: s.Do.SQL, Err: pg.Redacted(err, r.redact), Hint: "see pgleap check: it tries this connection"}
	}
	return nil
}

// subscribeSource carries out a step that makes a subscription on the source, where nothing is recorded.
func (r *run) subscribeSource(ctx context.Context, stage plan.Stage, s plan.Step) error {
	mark, conninfo := r.conninfoFor(plan.Source)
	knowing, err := r.openKnowing(ctx, plan.Source, r.Source, conninfo)
	if err != nil {
		return err
	}
	defer knowing.Close()
	return knowing.InTransaction(ctx, func() error { return r.sendSubscription(ctx, knowing, stage, s, mark) })
}

// openLoader opens a session on the target with the settings that the stage's statements are run under.
func (r *run) openLoader(ctx context.Context, stage plan.Stage) (*pg.Target, error) {
	t, err := r.OpenTarget(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := t.Exec(ctx, cmp.Or(stage.Session, schema.SessionSettings())+stage.Speed); err != nil {
		t.Close()
		return nil, fmt.Errorf("set up a session on the target: %w", err)
	}
	return t, nil
}

func (r *run) takesWrites(a pg.Address) string {
	if r.switched.StallMS > 0 {
		return fmt.Sprintf("%s takes the writes; they were stopped for %.0f ms", a.HostPort(), r.switched.StallMS)
	}
	return a.HostPort() + " takes the writes"
}

func (r *run) summary(stage plan.Stage) string {
	switch stage.ID {
	case plan.StageSchema:
		return plan.Plural(len(r.sel.Fenced()), "table") + ", " + plan.Plural(len(r.sel.Sequences), "sequence") + " defined"
	case plan.StageSwitch, plan.StageBackSwitch:
		return r.switched.String()
	case plan.StageRelease:
		return r.takesWrites(r.Target)
	case plan.StageBackRelease:
		return r.takesWrites(r.Source)
	case plan.StagePublish:
		return "publication and slot " + r.Run.Object()
	case plan.StageSubscribe:
		return plan.Plural(len(r.sel.Published), "table") + " copied, indexed, analyzed and followed"
	case plan.StageFinish:
		return plan.Plural(len(stage.Steps), "step") + ": constraints, triggers, sequences; both catalogs are equal"
	}
	return stage.Title
}

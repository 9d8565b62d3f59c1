package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Sequences carries positions over; declared here, by its consumer.
type Sequences interface {
	Prepare(ctx context.Context) error          // warms the statements, sets what can be set beforehand
	Read(ctx context.Context) error             // on the source, behind the locks
	Set(ctx context.Context, repair bool) error // on the target; with repair never backwards
	Positions() any                             // for the report
}

// Switch is one cutover.
type Switch struct {
	Run   plan.RunID
	Stage plan.Stage // the statements come from here
	// Direction: for a rollback source and target are swapped, here and in the texts that are told.
	Direction plan.Direction
	// Subscriptions are their names on the target: of each forward lane at a cutover, of the way back at a rollback.
	Subscriptions []string
	Budget        time.Duration
	Jobs          int // copies that go side by side
	Tables        int // tables that the fence is to stand on
	Connect       Connector
	// Sequences carries them between sessions that are there for it: Readers on the source, one on the target.
	Sequences func(sources []*pg.Source, target *pg.Target) Sequences
	Readers   int
	// Unchanged is asked behind the locks too: what the definitions alone do not tell.
	Unchanged func(ctx context.Context, source pg.Querier) error
	// Definitions is what StepUnchanged read before the catalogs were compared.
	Definitions string
	Deferred    []plan.Step // of the stage's deferred steps those that are not recorded yet
	Traffic     Traffic
	// Fenced is told last before anybody waits which server processes of ours a rescue has to end first: the one that
	// will hold the locks, and the one on the target that will hold the deferred definitions. May be nil.
	Fenced func(fence, opens Process)
	Back   Back
	// Await is asked when every session is open: for the time, or for somebody's word. It may take hours.
	Await func(ctx context.Context) error
	// Quiet is asked last before anybody has to wait: for a moment without long transactions.
	Quiet func(ctx context.Context) error
	// Released records the release, and tells who wants to know, before anything else is done; may be nil.
	Released func(ctx context.Context, r Result) error
	// Prove tries to write behind the fence, after the release: beside it, it would take the processors from the clients
	// that go on. It is for the report.
	Prove func(ctx context.Context) []Refusal
	// Rehearse gives everything back where the real switch commits.
	Rehearse bool
	Record   func(ctx context.Context, t *pg.Target, step plan.StepID) error
	// Marked records the fence LSN, and MarkedAt returns the one that the attempt whose fence stands has recorded, "" where
	// that is not known. Both may be nil.
	Marked   func(ctx context.Context, t *pg.Target, lsn string) error
	MarkedAt func(ctx context.Context) (lsn string, err error)
	Emit     func(plan.Event)
	Point    func(name string) // told at every instruction a test may want to die at; may be nil

	begun bool
}

// Begun tells whether Do got as far as making anybody wait.
func (w *Switch) Begun() bool { return w.begun }

// Traffic is what stands between the clients and the servers: poolers, hooks, or nothing.
type Traffic interface {
	// Hold makes the clients wait; all of them, or none and an error.
	Hold(ctx context.Context) error
	// Move does what takes time of pointing those that are held at the target. None goes through yet. It runs beside the
	// drain.
	Move(ctx context.Context) error
	// Release lets the clients go on at the target. The point of no return is passed: it can be called again.
	Release(ctx context.Context) error
	// Back takes Move and Hold back: the clients go on at the source. It can be called whatever was done before.
	Back(ctx context.Context) error
}

// Back prepares the way back: from the release on the source follows the target.
type Back interface {
	// Prepare makes what can be made before anybody waits.
	Prepare(ctx context.Context) error
	// Advance is called when the target holds everything, and nobody but us writes there.
	Advance(ctx context.Context) error
	// Undo takes Prepare back.
	Undo(ctx context.Context) error
}

// Refusal is a write that was tried behind the fence.
type Refusal struct {
	Role    string `json:"role"`
	How     string `json:"how"`             // such as "set transaction_read_only = off"
	Tried   string `json:"tried,omitempty"` // the statement; "" where the role could not be taken on
	Refused bool   `json:"refused"`
	Answer  string `json:"answer"` // the server's
}

// Process names a server process for good: process ids come again.
type Process struct {
	PID     uint32
	Started string // backend_start
}

// Connector opens the sessions of a switch.
type Connector interface {
	OpenSource(ctx context.Context) (*pg.Source, error)
	OpenTarget(ctx context.Context) (*pg.Target, error)
}

// sessions are opened and warmed before anybody waits.
type sessions struct {
	fence, reader, marker *pg.Source
	look                  *pg.Source   // at the definitions
	readers               []*pg.Source // of sequences; the first is reader
	watch, set            *pg.Target
	pairs                 []pair // for copies; none where nothing is copied
	fenceStarted          string // with the pid it names the fence's server process for good
	setStarted            string
	targetFenced          bool     // by an earlier way back
	triggers              []string // of the fence, that are not there from an earlier switch
	since                 string   // the transaction from which on a change of the definitions is new
	relations             int64    // how many there were at the last look
}

func (s *sessions) close() {
	for _, x := range append([]*pg.Source{s.fence, s.reader, s.marker, s.look}, s.readers...) {
		if x != nil { // the first of the readers is closed twice, which does nothing
			x.Close()
		}
	}
	for _, x := range []*pg.Target{s.watch, s.set} {
		if x != nil {
			x.Close()
		}
	}
	for _, p := range s.pairs {
		p.from.Close()
		p.to.Close()
	}
}

// Do makes the switch. An error of kind not-switched means that everything is undone and the source is
// writable again; one of kind past-return, that the fence stands and the target is the truth.
func (w *Switch) Do(ctx context.Context) (Result, error) {
	s, err := w.open(ctx)
	if err != nil {
		return Result{}, w.notBegun(ctx, err)
	}
	defer s.close()
	sequences := w.Sequences(s.readers, s.set)
	behind, err := w.fenceState(ctx, s.watch)
	if err != nil {
		return Result{}, err
	}
	s.targetFenced = behind == plan.Done
	state, err := w.fenceState(ctx, s.reader)
	if err != nil {
		return Result{}, err
	}
	if state == plan.Done {
		return w.repair(ctx, s, sequences)
	}
	if err := w.prepare(ctx, s, sequences); err != nil {
		return Result{}, w.notBegun(ctx, err)
	}
	err = w.Await(ctx)
	if err == nil {
		err = w.Back.Prepare(ctx)
	}
	w.point("prepared")
	if err == nil {
		err = w.Quiet(ctx)
	}
	if err == nil {
		err = w.baseline(ctx, s)
	}
	if err != nil {
		return Result{}, w.notBegun(ctx, errors.Join(err, w.Back.Undo(context.WithoutCancel(ctx))))
	}
	if w.Fenced != nil {
		w.Fenced(Process{s.fence.PID(), s.fenceStarted}, Process{s.set.PID(), s.setStarted})
	}
	w.begun = true
	limited, cancel := context.WithTimeout(ctx, w.Budget)
	defer cancel()
	started := time.Now()
	r, err := w.attempt(limited, s, sequences)
	if err == nil {
		err = limited.Err()
	}
	if err != nil {
		return r, w.undo(ctx, s, err, started)
	}
	if w.Rehearse {
		return w.rehearsed(ctx, s, r, started)
	}
	return w.pass(ctx, s, r, sequences, started)
}

// rehearsed takes everything back at the point where the real switch would pass the point of no return. For the
// stall that takes the place of the commit and the release.
func (w *Switch) rehearsed(ctx context.Context, s *sessions, r Result, started time.Time) (Result, error) {
	ctx = context.WithoutCancel(ctx)
	if err := w.giveBack(ctx, s); err != nil {
		return r, fmt.Errorf("the rehearsal was not given back as it should: %w", err)
	}
	since(started, &r.StallMS)
	w.unprepare(ctx)
	return r, nil
}

// attempt does everything up to the commit; all of it is held by the fence's session.
func (w *Switch) attempt(ctx context.Context, s *sessions, sequences Sequences) (Result, error) {
	r := Result{}
	var err error
	began := time.Now()
	err = w.Traffic.Hold(ctx)
	since(began, &r.HoldMS)
	if err != nil {
		return r, err
	}
	w.point("held")
	r.Tables = w.Tables
	if r.Attempts, r.LockMS, err = w.lock(ctx, s); err != nil {
		return r, err
	}
	w.point("locked")
	if err := ctx.Err(); err != nil { // the answer may have waited for us, not we for the answer
		return r, err
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := w.drain(inner, s, &r); err != nil {
			return err
		}
		defer since(time.Now(), &r.BackMS)
		return wrap("prepare the way back", w.Back.Advance(inner))
	})
	group.Go(func() error { return w.unchanged(inner, s) })
	group.Go(func() error {
		defer since(time.Now(), &r.MoveMS)
		err := w.Traffic.Move(inner)
		w.point("moved")
		return wrap(w.Direction.Words("while pointing the clients at the target"), err)
	})
	group.Go(func() error {
		defer since(time.Now(), &r.TriggersMS)
		_, err := s.fence.ExecEach(inner, s.triggers)
		return wrap("create the fence", err)
	})
	group.Go(func() error {
		defer since(time.Now(), &r.SequencesMS)
		if err := sequences.Read(inner); err != nil {
			return err
		}
		return sequences.Set(inner, false)
	})
	levels := w.copies()
	if len(levels) > 0 {
		group.Go(func() error { return w.copyLevel(inner, s, levels[0], &r) })
	}
	if err := group.Wait(); err != nil {
		return r, err
	}
	w.point("drained")
	for _, level := range levels[min(1, len(levels)):] { // their foreign keys point to what was drained, or copied
		if err := w.copyLevel(ctx, s, level, &r); err != nil {
			return r, err
		}
	}
	return r, w.deferred(ctx, s.set)
}

// drain writes the markers and waits until each is on the target. The LSN is taken while the locks are held and
// after every writer that was let through has committed. A fence LSN is never reused.
func (w *Switch) drain(ctx context.Context, s *sessions, r *Result) error {
	id := time.Now().UnixNano()
	began := time.Now()
	var lsn pg.SourceLSN
	if err := s.marker.QueryRow(ctx, w.sql(StepMarker), id, string(w.Run)).Scan(&lsn.LSN); err != nil {
		return wrap("write the marker", err)
	}
	since(began, &r.MarkerMS)
	r.FenceLSN = lsn.String()
	w.point("marked")
	defer since(time.Now(), &r.DrainMS)
	if !r.Repaired { // the marker is on its way meanwhile
		if err := w.mark(ctx, s, r.FenceLSN); err != nil {
			return err
		}
	}
	stuck := &blockedError{statement: "wait for the marker", on: w.Direction.To(), side: plan.Target, direction: w.Direction}
	for looked := time.Now(); ; {
		var there bool
		err := s.watch.QueryRow(ctx, w.sql(StepDrain), id).Scan(&there)
		if err == nil && there {
			return nil
		}
		if err == nil && time.Since(looked) > applyLook {
			var now []pg.Blocker
			if now, err = ApplyBlockers(ctx, s.watch, w.Subscriptions...); err == nil { // a look that the deadline cut knows less than the last
				stuck.blockers = now
			}
			looked = time.Now()
		}
		if stuck.err = err; err == nil {
			select {
			case <-ctx.Done():
				stuck.err = ctx.Err()
			case <-time.After(time.Millisecond):
				continue
			}
		}
		return stuck
	}
}

// applyLook is how often a drain that takes long looks for whom the apply worker waits.
const applyLook = 200 * time.Millisecond

// ApplyBlockers returns the sessions of the target that the subscriptions' apply workers wait for at this moment:
// while there are any, no drain can end.
func ApplyBlockers(ctx context.Context, t *pg.Target, subscriptions ...string) (all []pg.Blocker, err error) {
	rows, err := t.Query(ctx, `select pid from pg_stat_subscription where subname = any ($1) and relid is null and pid is not null order by subname`, subscriptions)
	if err != nil {
		return nil, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		now, err := pg.Blockers(ctx, t, uint32(pid))
		if err != nil {
			return nil, err
		}
		all = append(all, now...)
	}
	return all, nil
}

// deferred creates what must not fire before the release, in a transaction that is left open: it commits
// behind the fence's commit.
func (w *Switch) deferred(ctx context.Context, t *pg.Target) error {
	if len(w.Deferred) == 0 {
		return nil
	}
	if _, err := t.Exec(ctx, "begin"); err != nil {
		return wrap("begin on the target", err)
	}
	for _, step := range w.Deferred {
		if _, err := t.Exec(ctx, step.Do.SQL); err != nil {
			return wrap(step.Title, err)
		}
		if err := w.Record(ctx, t, step.ID); err != nil {
			return err
		}
	}
	return nil
}

// pass is the point of no return and what follows it at once.
func (w *Switch) pass(ctx context.Context, s *sessions, r Result, sequences Sequences, started time.Time) (Result, error) {
	// From here a cancelled context means nothing: the commit may be on its way.
	ctx = context.WithoutCancel(ctx)
	w.point("before-commit")
	began := time.Now()
	if err := w.commit(ctx, s.fence); err != nil {
		w.Emit(plan.Event{Kind: plan.EventWaiting, Stage: w.Stage.ID, Message: "the commit of the fence was not answered: looking over a new connection whether it was carried out"})
		state, unknown := w.stateAfter(ctx, s)
		if unknown != nil {
			_ = s.set.Rollback()
			return r, plan.Fail(plan.KindPastReturn, w.Direction.Words("run the same command again as soon as the source can be reached: it looks whether the fence stands, and goes on or begins anew. Until then keep the clients waiting: the source lets go of its locks by itself within ")+plan.HumanDuration(w.Budget+letGoAfter),
				w.Direction.Words("the fence was being committed when the source stopped answering, and it cannot be asked whether it was: %w"), err)
		}
		if state != plan.Done {
			return r, w.undo(ctx, s, err, started)
		}
	}
	since(began, &r.CommitMS)
	w.point("committed")
	if err := w.commitDeferred(ctx, s.set); err != nil {
		return r, err
	}
	return w.released(ctx, s, r, sequences, started)
}

// released opens the target's gate, lets the clients go on there, and tells the world.
func (w *Switch) released(ctx context.Context, s *sessions, r Result, sequences Sequences, started time.Time) (Result, error) {
	if err := w.openGate(ctx, s); err != nil {
		return r, w.pastReturn("open the gate of the target", err)
	}
	began := time.Now()
	if err := w.Traffic.Release(ctx); err != nil {
		return r, w.pastReturn("while letting the clients go on at the target", err)
	}
	since(began, &r.ReleaseMS)
	since(started, &r.StallMS)
	r.Sequences = sequences.Positions()
	w.Emit(plan.Event{Kind: plan.EventReleased, Stage: w.Stage.ID, Message: w.Direction.Words("the target takes the writes"), Data: r.data()})
	w.point("released")
	if w.Released != nil {
		if err := w.Released(ctx, r); err != nil {
			return r, w.pastReturn("record the release", err)
		}
	}
	r.Refusals = w.Prove(ctx)
	return r, nil
}

// commitTimeout bounds a commit that is not answered: the network, or a synchronous standby that died.
const commitTimeout = 5 * time.Second

func (w *Switch) commit(ctx context.Context, fence *pg.Source) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	_, err := fence.ExecEach(ctx, w.statements(StepCommit))
	return err
}

// openGate lifts the fence of the target, where an earlier way back has left one.
func (w *Switch) openGate(ctx context.Context, s *sessions) error {
	if !s.targetFenced {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	_, err := s.set.Exec(ctx, w.sql(StepOpen))
	return err
}

// commitDeferred commits what deferred left open on the target.
func (w *Switch) commitDeferred(ctx context.Context, t *pg.Target) error {
	if len(w.Deferred) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if _, err := t.Exec(ctx, "commit"); err != nil {
		return w.pastReturn("commit the deferred triggers on the target", err)
	}
	return nil
}

// repair goes on behind a fence that stands: an earlier attempt was killed after its commit. It drains anew,
// and never sets a sequence backwards, because clients may be on the target already.
func (w *Switch) repair(ctx context.Context, s *sessions, sequences Sequences) (Result, error) {
	r := Result{Repaired: true}
	started := time.Now()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.fence.ExecDurably(limited, plan.CloseGate); err != nil { // see stateAfter
		return r, w.pastReturn("see that the gate stays closed", err)
	}
	marked, err := w.markedAt(limited)
	if err != nil {
		return r, w.pastReturn("read the fence LSN", err)
	}
	if err := w.drain(limited, s, &r); err != nil {
		return r, w.pastReturn("drain behind the fence", err)
	}
	r.DrainedLSN, r.FenceBefore = r.FenceLSN, marked == ""
	if marked != "" {
		r.FenceLSN = marked
	}
	if err := sequences.Read(limited); err != nil {
		return r, w.pastReturn("read the sequences behind the fence", err)
	}
	if err := sequences.Set(limited, true); err != nil {
		return r, w.pastReturn("set the sequences behind the fence", err)
	}
	if err := w.deferred(limited, s.set); err != nil {
		return r, w.pastReturn("create the deferred triggers", err)
	}
	if err := w.commitDeferred(limited, s.set); err != nil {
		return r, err
	}
	if err := w.Traffic.Move(limited); err != nil {
		return r, w.pastReturn("while pointing the clients at the target", err)
	}
	r.Tables = w.Tables
	var standing int
	if err := s.reader.QueryRow(limited, plan.Standing).Scan(&standing); err == nil && standing < r.Tables {
		w.Emit(plan.Event{Kind: plan.EventNote, Stage: w.Stage.ID, Message: fmt.Sprintf(w.Direction.Words("the fence stands on %d of %d tables of the old server: the others were dropped, or their triggers were, by hand; what is written there is not carried over"), standing, r.Tables)})
	}
	return w.released(ctx, s, r, sequences, started)
}

// mark records the fence LSN where the journal is: on the side that takes over, and at a rollback on the one that is
// left. It waits for no disk: should the server lose it, a switch that is killed behind its fence knows less, and no
// less is true.
func (w *Switch) mark(ctx context.Context, s *sessions, lsn string) error {
	if w.Marked == nil {
		return nil
	}
	on := s.watch
	if w.Direction == plan.Backward {
		on = &pg.Target{Session: s.marker.Session} // which has nothing more to do
	}
	if _, err := on.Exec(ctx, "set synchronous_commit = off"); err != nil {
		return wrap("record the fence LSN", err)
	}
	return w.Marked(ctx, on, lsn)
}

func (w *Switch) markedAt(ctx context.Context) (string, error) {
	if w.MarkedAt == nil {
		return "", nil
	}
	return w.MarkedAt(ctx)
}

func (w *Switch) fenceState(ctx context.Context, q pg.Querier) (plan.State, error) {
	step, _ := w.Stage.Step(StageStep(w.Stage, StepFence))
	var state string
	if err := q.QueryRow(ctx, step.Probe).Scan(&state); err != nil {
		return "", fmt.Errorf("look for the fence: %w", err)
	}
	return plan.State(state), nil
}

func (w *Switch) sql(id plan.StepID) string {
	step, _ := w.Stage.Step(StageStep(w.Stage, id))
	return step.Do.SQL
}

func (w *Switch) statements(id plan.StepID) []string { return plan.Statements(w.sql(id)) }

func (w *Switch) point(name string) {
	if w.Point != nil {
		w.Point(string(w.Stage.ID) + "." + name)
	}
}

func (w *Switch) pastReturn(act string, err error) error {
	act = w.Direction.Words(act)
	if text := pg.Message(err); text != err.Error() { // the server's own words first
		act += ": " + text
	}
	return plan.Fail(plan.KindPastReturn, w.Direction.Words("the source stays fenced and the target is the truth: mend the cause, then run pgleap cutover again, it goes on from here"),
		"%s: %w", act, err)
}

func wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", act, err)
}

func since(t time.Time, ms *float64) { *ms = float64(time.Since(t).Microseconds()) / 1000 }

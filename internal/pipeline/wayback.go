package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// backStages are the stages of pgleap rollback. forward is the switch of the cutover.
func backStages(lanes []plan.Lane, source plan.Facts, forward plan.Stage) []plan.Stage {
	run := lanes[0].Run
	return []plan.Stage{
		cutover.BackStage(lanes, forward, source.Version),
		{
			ID: plan.StageBackRelease, Title: "the source takes the writes again, and the target follows it", Irreversible: true,
			Steps: slices.Concat([]plan.Step{
				pgsync.DisableStep("back-release.disable", run.Back(), plan.Source),
			}, pgsync.FollowSteps("back-release.follow", lanes, plan.Target), []plan.Step{
				pgsync.DropSlotStep("back-release.slot", run.Back(), plan.Target),
				{
					ID: "back-release.sequences", Title: "look whether a sequence was called on the new server after the switch", On: plan.Target,
					Why:      "the fence refuses writes, not nextval",
					Recorded: true, Do: plan.Action{Call: callLateBack}, ByHand: plan.NothingByHand("By hand there is no rollback"), Notice: noticeReads,
				},
			}),
		},
	}
}

// publisher is the session that the slot of the step's lane is on.
func (r *run) publisher(s plan.Step) (*pg.Source, plan.RunID) {
	if s.On == plan.Target {
		return &pg.Source{Session: r.target.Session}, r.Run.Back()
	}
	return r.source, r.laneOf(s).Run
}

// endedPatience is how long a worker may need to notice that its subscription was disabled.
const endedPatience = time.Minute

// follow enables the subscription on the step's side, when nobody applies the other direction any more: each would send
// the other's rows round again. A way back that was lost meanwhile stops no cutover.
func (r *run) follow(ctx context.Context, s plan.Step) error {
	lane, ended := r.laneOf(s).Run, r.lanesIn(plan.Backward)
	subscriber, publisher := r.target.Session, r.source.Session
	if s.On == plan.Source {
		lane, ended = ended[0].Run, r.lanes
		subscriber, publisher = publisher, subscriber
	}
	var slot, subscription bool
	if err := publisher.QueryRow(ctx, `select exists (select from pg_replication_slots where slot_name = $1 and database = current_database())`, lane.Object()).Scan(&slot); err != nil {
		return fmt.Errorf("look for slot %s: %w", lane.Object(), err)
	}
	if err := subscriber.QueryRow(ctx, `select exists (select from pg_subscription where subname = $1 and subdbid = (select oid from pg_database where datname = current_database()))`, lane.Object()).Scan(&subscription); err != nil {
		return fmt.Errorf("look for subscription %s: %w", lane.Object(), err)
	}
	if !slot || !subscription {
		r.tellLost(s, fmt.Sprintf("slot or subscription %s was dropped by hand", lane.Object()))
		return nil
	}
	if fell, err := r.fellBack(ctx, s.On, publisher, lane); err != nil || fell != "" {
		if fell != "" {
			r.tellLost(s, fell)
		}
		return err
	}
	for _, l := range ended {
		if err := awaitEnded(ctx, subscriberOf(r, s.On), l.Run); err != nil {
			return err
		}
	}
	if s.On == plan.Target { // the switch before has made it commit synchronously
		if _, err := subscriber.Exec(ctx, pgsync.RelaxStatement(lane)); err != nil {
			return fmt.Errorf("let subscription %s commit asynchronously: %w", lane.Object(), err)
		}
	}
	if _, err := subscriber.Exec(ctx, s.Do.SQL); err != nil {
		return fmt.Errorf("enable subscription %s: %w", lane.Object(), err)
	}
	return nil
}

// tellLost says that a side does not follow. It stops nothing: the other one takes the writes.
func (r *run) tellLost(s plan.Step, why string) {
	text, stage := "THERE IS NO WAY BACK: the source cannot follow: ", plan.StageRelease
	if s.On == plan.Target {
		text, stage = "THE TARGET DOES NOT FOLLOW, end the run with pgleap abort and begin anew with pgleap sync: ", plan.StageBackRelease
	}
	r.emit(plan.Event{Kind: plan.EventNote, Stage: stage, Step: s.ID, Message: text + why})
}

// fellBack tells that the slot stands before where the switch had put it: an advanced slot is on disk with the next
// checkpoint only, and a crash since would bring everything of the switch's own direction round again.
func (r *run) fellBack(ctx context.Context, follows plan.Side, publisher *pg.Session, lane plan.RunID) (string, error) {
	kind := journal.Released
	if follows == plan.Target {
		kind = journal.Returned
	}
	var switched struct {
		BackLSN string `json:"back_lsn"`
	}
	if _, err := r.journal.Data(ctx, kind, "", &switched); err != nil || switched.BackLSN == "" { // made by a process that was killed
		return "", err
	}
	var behind bool
	if err := publisher.QueryRow(ctx, `select confirmed_flush_lsn < $2::pg_lsn from pg_replication_slots where slot_name = $1`, lane.Object(), switched.BackLSN).Scan(&behind); err != nil {
		return "", fmt.Errorf("look where slot %s stands: %w", lane.Object(), err)
	}
	if !behind {
		return "", nil
	}
	return fmt.Sprintf("the server of slot %s has crashed since the switch, and the slot fell back behind %s", lane.Object(), switched.BackLSN), nil
}

// subscriberOf is the session where the direction is applied that ends when the side begins to follow.
func subscriberOf(r *run, follows plan.Side) pg.Querier {
	if follows == plan.Source {
		return r.target
	}
	return r.source
}

func awaitEnded(ctx context.Context, q pg.Querier, lane plan.RunID) error {
	limited, cancel := context.WithTimeout(ctx, endedPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var ended bool
		if err := q.QueryRow(ctx, pgsync.EndedStatement(lane)).Scan(&ended); err != nil {
			return fmt.Errorf("look whether subscription %s has ended: %w", lane.Object(), err)
		}
		if ended {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("the worker of subscription %s, which is disabled, has not ended: %w", lane.Object(), limited.Err())
		case <-tick.C:
		}
	}
}

// unfence drops the triggers of the fence, table by table as an application can bear it, then schema pgleap.
func (r *run) unfence(ctx context.Context, s plan.Step) error {
	if err := r.unguard(ctx, s); err != nil {
		return err
	}
	if _, err := r.session(s.On).Exec(ctx, plan.DropSchema); err != nil {
		return fmt.Errorf("drop schema pgleap: %w", err)
	}
	return nil
}

// following are the slots by which the side that is left follows, on the one that takes over in the run's direction.
type following struct {
	*run
	session  *pg.Source // on that side, which is a publisher then
	position string     // of the first of the slots, when all that is on the side is behind it
}

// back returns what prepares the way back of a switch in the run's direction.
func (r *run) back() cutover.Back {
	if !r.plan.HasWayBack() {
		return noBack{}
	}
	return &following{run: r}
}

// lanes are those of the slots.
func (f *following) lanes() []plan.Lane { return f.lanesIn(f.direction.Turned()) }

// Prepare drops what an earlier attempt has left, and makes the slots anew.
func (f *following) Prepare(ctx context.Context) error {
	if f.session == nil {
		t, err := f.OpenTarget(ctx)
		if err != nil {
			return err
		}
		f.session = &pg.Source{Session: t.Session}
	}
	if _, err := f.session.Exec(ctx, "set synchronous_commit = on"); err != nil {
		return fmt.Errorf("prepare the way back: %w", err)
	}
	if err := f.drop(ctx); err != nil {
		return err
	}
	if err := f.rememberFiles(ctx); err != nil {
		return err
	}
	for _, l := range f.lanes() {
		step := f.switchStep(l.Steps(plan.Step{ID: cutover.StepBackSlot})[0].ID)
		if step.ID == "" { // made within
			return nil
		}
		if err := pgsync.CreateSlot(ctx, f.session, step, f.Options.SlotTimeout, f.emit); err != nil {
			return fmt.Errorf("prepare the way back: %w", err)
		}
	}
	return f.Advance(ctx)
}

// Advance puts the slots behind all that is on the side, and remembers where it stands then.
func (f *following) Advance(ctx context.Context) error {
	statements := plan.Statements(f.switchStep(cutover.StepBackAdvance).Do.SQL) // each a transaction of its own
	last := len(statements) - 1
	for _, sql := range statements[:last] {
		if _, err := f.session.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return f.session.QueryRow(ctx, statements[last]).Scan(&f.position)
}

// advanceAgain is called right before writes stop: what the slot has passed by then it need not pass within. It reads from
// its restart_lsn, which moves every 15 s at most: where that is far behind by now, another slot begins nearer.
func (r *run) advanceAgain(ctx context.Context, back cutover.Back) error {
	f, ok := back.(*following)
	if !ok || f.switchStep(cutover.StepBackSlot).ID == "" { // there is none yet
		return nil
	}
	if err := f.Advance(ctx); err != nil {
		return err
	}
	var behind int64
	if err := f.session.QueryRow(ctx, `select max(pg_current_wal_lsn() - restart_lsn)::int8 from pg_replication_slots where slot_name = any ($1)`, objects(f.lanes())).Scan(&behind); err != nil {
		return fmt.Errorf("look how far slot %s is behind: %w", f.lanes()[0].Object(), err)
	}
	if behind > cutover.MostLag {
		return f.Prepare(ctx)
	}
	return nil
}

// Undo drops the slots.
func (f *following) Undo(ctx context.Context) error {
	if f.session == nil {
		return nil
	}
	defer f.close()
	return f.drop(ctx)
}

func (f *following) drop(ctx context.Context) error {
	for _, l := range f.lanes() {
		if err := pgsync.DropSlot(ctx, f.session, l.Run, pgsync.DropSlotStatement(l.Run)); err != nil {
			return err
		}
	}
	return nil
}

func (f *following) close() {
	if f.session != nil {
		f.session.Close()
		f.session = nil
	}
}

// stepBackFiles is the record of the files of the side that takes over, before anybody writes there.
const stepBackFiles plan.StepID = "switch.back.files"

// rememberFiles keeps what only a truncation changes, where TRUNCATE does not travel back: see filenodesUnchanged.
func (f *following) rememberFiles(ctx context.Context) error {
	if f.direction != plan.Forward || f.plan.Source.Version.Has(pgver.PublishTruncate) {
		return nil
	}
	files, err := readFilenodes(ctx, f.target, filenodesStatement(f.lanes()))
	if err != nil {
		return err
	}
	return f.journal.Record(ctx, journal.Before, plan.StageSwitch, stepBackFiles, files)
}

// errRollingBack refuses whatever is not the rollback's own verb while one is past its point of no return.
func (r *run) errRollingBack(ctx context.Context) error {
	half, err := r.rollingBack(ctx)
	if err != nil || !half {
		return err
	}
	return plan.Fail(plan.KindPastReturn, "run pgleap rollback again, it goes on from here", "a rollback of run %s is past its point of no return and not complete: the source is the truth", r.Run)
}

// errHalfOver refuses whatever follows a complete cutover while one is past its point of no return; done are the
// stages of the trip.
func (r *run) errHalfOver(ctx context.Context, done map[plan.StageID]bool) error {
	var fenced bool
	if err := r.source.QueryRow(ctx, "select "+plan.FenceStands).Scan(&fenced); err != nil {
		return fmt.Errorf("look for the fence: %w", err)
	}
	if !fenced && !done[plan.StageSwitch] {
		return nil
	}
	return plan.Fail(plan.KindPastReturn, "run pgleap cutover first, it goes on from here; then pgleap "+r.Verb, "the cutover of run %s is past its point of no return and not complete: the target is the truth", r.Run)
}

// rollingBack tells whether the target is fenced though the run was released and no rollback has been completed since.
func (r *run) rollingBack(ctx context.Context) (bool, error) {
	released, err := r.journal.Has(ctx, journal.Released)
	if err != nil || !released {
		return false, err
	}
	var stands bool
	if err := r.target.QueryRow(ctx, "select "+plan.FenceStands).Scan(&stands); err != nil {
		return false, fmt.Errorf("look for the fence of the target: %w", err)
	}
	return stands, nil
}

// noWayBack says why there is none.
func (r *run) noWayBack() error {
	if r.plan.Options.NoWayBack {
		return plan.Fail(plan.KindNotReady, "finish with pgleap finalize", "run %s was begun without a way back (--no-way-back)", r.Run)
	}
	reasons := plan.WayBack(r.plan.Source, r.plan.Target, r.plan.Options)
	return plan.Fail(plan.KindNotReady, "finish with pgleap finalize", "run %s was begun without a way back:%s", r.Run, listed(reasons, findingLine))
}

// wayBackLost is what an ErrNoSlot means for a rollback.
func wayBackLost(err error) error {
	if !errors.Is(err, pgsync.ErrNoSlot) {
		return err
	}
	return plan.Fail(plan.KindNotReady, "the target stays the truth: finish with pgleap finalize", "there is no way back any more: the source did not get what was written since: %w", err)
}

package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/cutover"
	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// gateWait is how long the gate waits for the target to come near.
const gateWait = 2 * time.Minute

// gate refuses a switch that cannot succeed, or would lose something, before anybody has to wait for it.
func (r *run) gate(ctx context.Context) error {
	for _, l := range r.lanes { // without its slot nothing else is worth judging
		if _, err := pgsync.ReadLag(ctx, r.source, l.Run); err != nil {
			return err
		}
	}
	if err := r.checkAgain(ctx); err != nil {
		return err
	}
	if err := r.comparedSoon(ctx, plan.Forward, func() error {
		if err := r.judgeGate(ctx); err != nil { // first: to the comparison an invalid index is none
			return err
		}
		if err := r.compare(ctx); err != nil {
			return err
		}
		return r.stillFit(ctx)
	}); err != nil {
		return err
	}
	if err := r.awaitReady(ctx); err != nil { // first: one that is far behind had better stay fast
		return err
	}
	if err := r.durable(ctx); err != nil {
		return err
	}
	return r.awaitReady(ctx)
}

// durable lets apply commit synchronously.
func (r *run) durable(ctx context.Context) error {
	stage := r.switchStage()
	for _, s := range durableSteps(stage) {
		if err := r.step(ctx, r.target, stage, s, nil); err != nil {
			return err
		}
	}
	return nil
}

// relax takes durable back, where it is done, after a switch that was not made: apply would be several times slower until the
// next one. A target that cannot be reached is another's to tell.
func (r *run) relax(stage plan.Stage) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range durableSteps(stage) {
		relax := pgsync.RelaxStatement(r.laneOf(s).Run)
		if state, err := r.probe(ctx, s); err != nil || state != plan.Done {
			r.Log.Debug("apply is not relaxed", "state", state, "error", err)
			continue
		}
		if _, err := r.target.Exec(ctx, relax); err != nil {
			r.emit(plan.Event{
				Kind: plan.EventNote, Stage: stage.ID,
				Message: "until the next cutover apply waits for the disk at each commit, which is slower and loses nothing; to end that, on the target: " + relax + ". " + pg.Message(err),
			})
		}
	}
}

// durableSteps are one for each lane; the switch of a rollback has none, its apply commits synchronously always.
func durableSteps(stage plan.Stage) []plan.Step {
	return slices.DeleteFunc(slices.Clone(stage.Steps), func(s plan.Step) bool { return !pgsync.IsDurable(s) })
}

// awaitReady waits until the side that takes over is near.
func (r *run) awaitReady(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	var locked time.Time // since when the apply worker waits for somebody's lock
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := r.notReady(ctx)
		if err != nil || o.reason == "" {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventWaiting, Stage: r.switchStage().ID, Message: o.check + ": " + o.reason, Data: map[string]any{"check": o.check}})
		switch {
		case !o.locked:
			locked = time.Time{}
		case locked.IsZero():
			locked = time.Now()
		case time.Since(locked) > r.Options.MaxWriteStall:
			return plan.Fail(plan.KindNotSwitched, o.fix, "the switch was not begun, writes were never stopped: nothing was applied for %s (--max-write-stall): %s: %s",
				plan.HumanDuration(r.Options.MaxWriteStall), o.check, o.reason)
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return plan.Fail(plan.KindNotReady, o.fix, "%s: %s", o.check, o.reason)
		case <-tick.C:
		}
	}
}

// obstacle stands in the way of a switch, and may go by itself. Without a reason there is none.
type obstacle struct {
	check       string // its id
	reason, fix string
	locked      bool // it is somebody's lock on the target: as long as writes may stand still is long enough to wait for it
}

func (r *run) fixLater() string {
	return r.direction.Words("see pgleap status; run pgleap cutover again when the target has caught up")
}

// notReady says what stands in the way of a switch right now.
func (r *run) notReady(ctx context.Context) (o obstacle, err error) {
	for _, l := range r.carrying() {
		if o, err = r.laneNotReady(ctx, l); err != nil || o.reason != "" {
			o.reason = r.named(l, o.reason)
			return o, err
		}
	}
	return r.markerArrives(ctx)
}

func (r *run) laneNotReady(ctx context.Context, l plan.Lane) (o obstacle, err error) {
	w, err := pgsync.ReadWorker(ctx, r.target, l.Run)
	if err != nil {
		return o, err
	}
	if !w.Exists || !w.Enabled || w.PID == nil {
		return obstacle{check: "apply-alive", reason: w.Trouble(), fix: r.fixLater()}, nil
	}
	states, err := pgsync.Tables(ctx, r.target, l.Run)
	if err != nil {
		return o, err
	}
	if ready, _ := pgsync.Progress(states, nil); ready != l.Relations() {
		return obstacle{check: "all-ready", reason: fmt.Sprintf("%d of %d tables are ready", ready, l.Relations()), fix: r.fixLater()}, nil
	}
	blockers, err := cutover.ApplyBlockers(ctx, r.target, l.Object())
	if err != nil {
		return o, err
	}
	if len(blockers) > 0 {
		return obstacle{
			check: "apply-alive", locked: true,
			reason: r.direction.Words("on the target the apply worker waits for a lock, so the drain could not end: ") + blockers[0].String(),
			fix:    fmt.Sprintf(r.direction.Words("let that transaction end, or end it on the target with: select pg_terminate_backend(%d); then run pgleap cutover again"), blockers[0].PID),
		}, nil
	}
	lag, err := pgsync.ReadLag(ctx, r.source, l.Run)
	if err != nil {
		return o, err
	}
	if !lag.Active {
		return obstacle{check: "apply-alive", reason: r.direction.Words("the slot is not in use: the target does not receive anything"), fix: r.fixLater()}, nil
	}
	if lag.Bytes > cutover.MostLag {
		return obstacle{check: "lag", reason: fmt.Sprintf(r.direction.Words("the target is %s behind, more than %s: the drain would take too long"), plan.HumanBytes(lag.Bytes), plan.HumanBytes(cutover.MostLag)), fix: r.fixLater()}, nil
	}
	return obstacle{}, nil
}

// stillFit refuses when something has come up on the source since the run was begun that replication does not
// carry, whatever the definitions say.
func (r *run) stillFit(ctx context.Context) error {
	if err := r.stillPublished(ctx); err != nil {
		return err
	}
	if err := r.filenodesUnchanged(ctx, r.source); err != nil {
		return err
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	return r.rolesFit(ctx)
}

// stillPublished: a table that was dropped and made again has the same definition, and is in no publication.
func (r *run) stillPublished(ctx context.Context) error {
	for _, l := range r.carrying() {
		if err := r.laneStillPublished(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) laneStillPublished(ctx context.Context, l plan.Lane) error {
	rows, err := r.source.Query(ctx, `select n.nspname, c.relname from pg_publication p cross join lateral pg_get_publication_tables(p.pubname) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace where p.pubname = $1`, l.Object())
	if err != nil {
		return fmt.Errorf("read the publication: %w", err)
	}
	published := map[plan.Name]bool{}
	var n plan.Name
	if _, err := pgx.ForEachRow(rows, []any{&n.Schema, &n.Name}, func() error {
		published[n] = true
		return nil
	}); err != nil {
		return fmt.Errorf("read the publication: %w", err)
	}
	var missing []string
	for _, t := range l.Tables {
		if !published[t.Name] {
			missing = append(missing, plan.OneLine(t.Name.String()))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return plan.Fail(plan.KindDrift, r.anew(),
		r.direction.Words("publication %s lacks %s of the source, whose rows did not reach the target (somebody took them out, or dropped them and made them again): %s"),
		l.Object(), plan.Plural(len(missing), "table"), someOf(missing))
}

// anew is what remains to be done when rows are missing on the side that should take over.
func (r *run) anew() string {
	if r.direction == plan.Backward {
		return "there is no way back any more: the target stays the truth, finish with pgleap finalize"
	}
	return "begin anew: pgleap abort, then pgleap sync"
}

// cheapChecks are made again at every gate: they tell of what would be lost, or would stop apply.
var cheapChecks = []string{"selection", "selection-fks", "prepared-transactions", "long-transactions", "replica-identity", "identity-full", "large-objects", "unlogged-tables", "sequences", "removed-features", "extension-data", "foreign-slots"}

// recheck judges the source as it is now. What was a warning when the run was begun is not told again.
func (r *run) recheck(ctx context.Context) error {
	source, err := catalog.Read(ctx, r.source, plan.Source, r.Run)
	if err != nil {
		return err
	}
	if err := r.tellBack(ctx, source); err != nil {
		return err
	}
	// One of another database holds no lock here; the slot, which would have waited for it, stands.
	source.Prepared = slices.DeleteFunc(source.Prepared, func(p plan.PreparedTx) bool { return p.Database != source.Database })
	var blockers []plan.Finding
	for _, f := range plan.Recheck(r.sel, source, r.plan.Target, r.Options) {
		switch {
		case !slices.Contains(cheapChecks, f.Check):
		case f.Severity == plan.Blocker:
			blockers = append(blockers, f)
		case !slices.ContainsFunc(r.plan.Findings, func(p plan.Finding) bool { return p.Check == f.Check && p.Object == f.Object }):
			r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: "new since the run was begun: " + findingLine(f)})
		}
	}
	if len(blockers) == 0 {
		return nil
	}
	return plan.Fail(plan.KindNotReady, "mend it on the source, then run pgleap cutover again; see also pgleap check",
		"the switch was not begun, writes were never stopped: since the run was begun this has come up on the source:%s", listed(blockers, findingLine))
}

// findingLine is a finding with its way out, in a line.
func findingLine(f plan.Finding) string {
	mend := f.Fix
	if f.SQL != "" {
		mend += ": " + f.SQL
	}
	return plan.OneLine(f.Check + ": " + strings.ReplaceAll(f.Problem, "\n", "; ") + ". Mend: " + mend)
}

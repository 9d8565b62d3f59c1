package pipeline

import (
	"context"
	"fmt"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// witnessWait is how long a server that cannot copy a slot may wait for open transactions to make the witness.
const witnessWait = 5 * time.Second

// witnessSoon bounds what a cutover and a status read of the old server's WAL; finalize reads all of it.
var witnessSoon = cutover.Limits{Time: 10 * time.Second, Bytes: 64 << 20}

// makeWitness makes the slot that will tell what is written on the old server behind the fence. Without it the switch
// is none the less safe: it is said that it will not be proven.
func (r *run) makeWitness(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, witnessWait)
	defer cancel()
	blockers, err := r.watched(ctx, cutover.StepLock, func() error {
		return cutover.MakeWitness(limited, r.source, r.carrying()[0].Object(), r.Run.Proof().Object())
	})
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	r.emit(plan.Event{
		Kind: plan.EventNote, Stage: plan.StageSwitch, Data: map[string]any{"check": "fence-proof"},
		Message: fmt.Sprintf("fence-proof: what is written on the old server behind the fence will not be read from its WAL: %s%s", pg.Message(err), waitsFor(blockers)),
	})
	return nil
}

// dropWitness takes it away when the switch was undone, so that it keeps no WAL.
func (r *run) forgetWitness(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), witnessWait)
	defer cancel()
	if err := cutover.DropWitness(ctx, r.source, r.Run.Proof().Object()); err != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: "left behind, and taken away by the next cutover or by abort: " + err.Error()})
	}
}

// tellReturned says at the end of a rollback what the WAL of the side that was left says. The witness goes with it: nobody
// would read it on, and the WAL that it keeps grows with everything that comes from the other side.
func (r *run) tellReturned(ctx context.Context, fence string) error {
	if err := r.errNotProven(); err != nil {
		return err
	}
	w, err := cutover.Witness(ctx, r.source, r.Verb, objects(r.carrying()), r.Run.Proof().Object(), fence, witnessSoon)
	if err != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Stage: r.releaseStage(), Message: "fence-proof: " + r.direction.Words("the old server's WAL") + " was not read: " + pg.Message(err)})
		return nil
	}
	r.emitWitness(r.releaseStage(), &w)
	if err := r.errWitnessed(&w, lateWrites); err != nil {
		return err
	}
	r.forgetWitness(ctx)
	return nil
}

// witness reads the old server's WAL behind the fence; nil when there was no release.
func (r *run) witness(ctx context.Context, l cutover.Limits) (*cutover.Witnessed, error) {
	fence, drained, err := r.fenceLSN(ctx)
	if err != nil || fence == "" {
		return nil, err
	}
	w, err := cutover.Witness(ctx, r.source, r.Verb, objects(r.carrying()), r.Run.Proof().Object(), fence, l)
	if err == nil && drained != "" {
		err = w.MarkDrained(drained)
	}
	return &w, err
}

// fenceLSN is where the fence of the trip's switch stands, "" where there was no release; and where a resumed one was
// drained again, "" where it was not.
func (r *run) fenceLSN(ctx context.Context) (fence, drained string, err error) {
	var switched struct {
		FenceLSN   string `json:"fence_lsn"`
		DrainedLSN string `json:"drained_lsn"`
	}
	kind := journal.Released
	if r.direction == plan.Backward {
		kind = journal.Returned
	}
	_, err = r.journal.Data(ctx, kind, "", &switched)
	return switched.FenceLSN, switched.DrainedLSN, err
}

// tellWitness says at the end of a cutover what the WAL says; what others wrote is an error.
func (r *run) tellWitness(ctx context.Context) error {
	w, err := r.witness(ctx, witnessSoon)
	if err != nil || w == nil {
		return err
	}
	r.emitWitness(r.releaseStage(), w)
	return r.errWitnessed(w, lateWrites)
}

const lateWrites = "keep every client off the old server, and carry over by hand what was written there"

func (r *run) emitWitness(stage plan.StageID, w *cutover.Witnessed) {
	said := ""
	if len(w.Violations) > 0 || w.Unread != "" {
		said = "fence-proof: "
	}
	r.emit(plan.Event{Kind: plan.EventNote, Stage: stage, Message: said + r.direction.Words("the old server's WAL") + ": " + w.String(), Data: map[string]any{"check": "fence-proof", "wal": w}})
}

func (r *run) errWitnessed(w *cutover.Witnessed, fix string) error {
	if w == nil || len(w.Violations) == 0 {
		return nil
	}
	return plan.Fail(plan.KindPastReturn, r.direction.Words(fix), r.direction.Words("the target takes the writes, and somebody has written to the old server behind the fence")+":%s", listed(w.Violations, func(v cutover.Violation) string {
		text := fmt.Sprintf("%s of %s, committed at %s by transaction %d", v.Operation, v.Table, v.CommitLSN, v.XID)
		if v.Drained {
			text += ": it came over, before the resumed switch had drained anew"
		}
		return plan.OneLine(text)
	}))
}

// refuseWitnessed keeps the old server as it is while rows are on it that nobody has carried over.
func (r *run) refuseWitnessed(ctx context.Context) error {
	w, err := r.witness(ctx, cutover.Limits{})
	if err != nil || w == nil {
		return err
	}
	r.emitWitness(plan.StageFinalize, w)
	if r.LateWrites {
		return nil
	}
	return r.errWitnessed(w, "carry over what was written there, then say --despite-late-writes")
}

// witnessMost is how much WAL the witness may keep on the old server before a status warns, in bytes.
const witnessMost = 1 << 30

// witnessKeeps warns of the WAL that the witness keeps: each status reads a part of it, and a disk that fills ends the way
// back.
func (r *run) witnessKeeps(ctx context.Context, st *Status) error {
	slot := r.Run.Proof().Object()
	var kept int64
	if err := r.source.QueryRow(ctx, `select coalesce((select (pg_current_wal_lsn() - restart_lsn)::int8 from pg_replication_slots where slot_name = $1), 0)`, slot).Scan(&kept); err != nil {
		return fmt.Errorf("look what slot %s keeps: %w", slot, err)
	}
	if kept > witnessMost {
		st.Problems = append(st.Problems, Problem{
			Level: Warn, Check: "fence-proof", Text: fmt.Sprintf("slot %s, by which it is seen who writes to the old server, keeps %s of WAL there", slot, plan.HumanBytes(kept)),
			Mend: "run pgleap status now and then, each reads a part of it; or give the proof up on the old server: select pg_drop_replication_slot('" + slot + "')",
		})
	}
	return nil
}

// witnessProblem is what a status says of it.
func witnessProblem(w *cutover.Witnessed) []Problem {
	if w == nil || len(w.Violations) == 0 {
		return nil
	}
	return []Problem{{Level: Critical, Check: "fence-proof", Text: "the old server's WAL: " + w.String(), Mend: lateWrites}}
}

// withoutWitness drops the slots of the witness before the publications that they are read by.
func withoutWitness(run plan.RunID, wayBack bool) []plan.Step {
	steps := []plan.Step{dropWitness("finalize.witness", run, plan.Source)}
	if wayBack { // a rollback leaves one there
		steps = append(steps, dropWitness("finalize.back.witness", run, plan.Target))
	}
	return steps
}

func dropWitness(id plan.StepID, run plan.RunID, on plan.Side) plan.Step {
	slot := run.Proof().Object()
	return plan.Step{
		ID: id, Title: "drop replication slot " + slot, On: on,
		Probe:  "select case when exists (select from pg_replication_slots where database = current_database() and slot_name = " + plan.QuoteLiteral(slot) + ") then 'absent' else 'done' end",
		Do:     plan.Action{SQL: cutover.DropWitnessStatement(slot)},
		ByHand: plan.NothingByHand("By hand there is no such slot"),
		Notice: "nothing: the server may let go of its WAL",
	}
}

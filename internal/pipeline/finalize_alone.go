package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// Lost says in the operator's words that a server is gone for good, where giving it up loses what it alone holds.
type Lost bool

// FinalizeTarget is Finalize without the source, which is gone for good: only Config.Target is used, and Config.Run
// may be empty. Where the target was left by a rollback it takes writes again, which is done only with lost.
func FinalizeTarget(ctx context.Context, c Config, lost Lost) error {
	r := &run{Config: c}
	defer r.close()
	if err := r.lockTarget(ctx); err != nil {
		return err
	}
	o, err := readOrigin(ctx, r.target)
	if err != nil {
		return err
	}
	switch {
	case o.run == "":
		r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing of pgleap is left on the target"})
		return nil
	case o.side == string(plan.Source):
		return plan.Fail(plan.KindBlocked, "give it as --source, with --target-is-lost if the new server is gone for good", "the server %s was the source of run %s, not its target", r.Target, o.run)
	case r.Run == "":
		r.Run = plan.RunID(o.run)
	}
	r.journal = journal.On(r.target, r.Run)
	if _, err := r.load(ctx); err != nil {
		return err
	}
	if r.lanes == nil {
		if r.lanes, err = r.lanesFound(ctx); err != nil {
			return err
		}
	}
	closed, err := r.mayFinalizeTarget(ctx, lost)
	if err != nil {
		return err
	}
	if closed {
		// Nothing may be applied any more when the sequences are looked at.
		if err := r.dropSubscriptions(ctx); err != nil {
			return err
		}
		if err := r.moveSequences(ctx, r.target.Session); err != nil {
			return err
		}
	}
	if err := r.dropProofs(ctx); err != nil {
		return err
	}
	if err := r.stepsOn(ctx, plan.Target); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing of run " + string(r.Run) + " is left on the target. Should the source come back, take what is on it away with: pgleap finalize --source … --target-is-lost, and keep every client away from it"})
	return nil
}

// mayFinalizeTarget refuses where the target is not the truth. It tells whether the target is fenced: the source took
// over again, and only with lost is it given up.
func (r *run) mayFinalizeTarget(ctx context.Context, lost Lost) (closed bool, err error) {
	if err := r.target.QueryRow(ctx, "select "+plan.FenceStands).Scan(&closed); err != nil {
		return false, fmt.Errorf("look for the fence: %w", err)
	}
	last, err := r.lastOfTrip(ctx)
	switch {
	case err != nil:
		return closed, err
	case closed && !bool(lost):
		return closed, plan.Fail(plan.KindPastReturn, "bring the source back; only if it is lost for good: pgleap finalize --target … --source-is-lost lets the target take writes again",
			"run %s was rolled back: the source is the truth, and what was written there and has not come to the target would be lost", r.Run)
	case !closed && last != "released":
		return closed, plan.Fail(plan.KindNotReady, "give --source too, and finish it with pgleap cutover, or take it back with pgleap abort", "run %s has not been switched over, as far as its journal on the target knows: the source is the truth, unless the fence stands there", r.Run)
	}
	return closed, nil
}

// lockTarget takes the run lock on the target alone, and opens a session there.
func (r *run) lockTarget(ctx context.Context) error {
	t, err := pg.OpenTarget(ctx, r.Target, r.forLock())
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, t.Session, plan.Target)); err != nil {
		t.Close()
		return err
	}
	r.target, err = r.OpenTarget(ctx)
	return err
}

// stepsOn walks those steps of teardown and finalize that are on one side.
func (r *run) stepsOn(ctx context.Context, side plan.Side) error {
	for _, id := range []plan.StageID{plan.StageTeardown, plan.StageFinalize} {
		stage, _ := r.plan.Stage(id)
		for _, s := range stage.Steps {
			if s.On != side {
				continue
			}
			if err := r.step(ctx, r.target, stage, s, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// FinalizeSource is the emergency way back: the target is lost for good, with everything that was written there and
// had not come back, and the source takes writes again. Only Config.Source is used. It says how far the way back had
// come.
func FinalizeSource(ctx context.Context, c Config) error {
	r := &run{Config: c}
	defer r.close()
	if err := r.lockSource(ctx); err != nil {
		return err
	}
	var stood bool
	if err := r.source.QueryRow(ctx, "select "+plan.FenceStands).Scan(&stood); err != nil {
		return fmt.Errorf("look for the fence: %w", err)
	}
	if stood {
		far, err := r.cameBack(ctx)
		if err != nil {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventNote, Message: far})
	}
	if err := r.undoBack(ctx); err != nil {
		return err
	}
	if stood {
		if err := r.moveSequences(ctx, r.source.Session); err != nil {
			return err
		}
	}
	if err := r.undoSource(ctx, r.source); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("THE OLD SERVER %s TAKES WRITES AGAIN: nothing of run %s is left on it. Should the new server come back, keep every client away from it", r.Source, r.Run)})
	return nil
}

// cameBack says how far the old server had followed the new one.
func (r *run) cameBack(ctx context.Context) (string, error) {
	var follows bool
	var marker, heard, applied string
	err := r.source.QueryRow(ctx, `select u.oid is not null, coalesce((select max(at)::text from pgleap.marker), ''), coalesce(s.latest_end_time::text, ''), coalesce(o.remote_lsn::text, '')
from (select 1) one left join pg_subscription u on u.subname = $1 and u.subdbid = (select oid from pg_database where datname = current_database())
  left join pg_stat_subscription s on s.subid = u.oid and s.relid is null left join pg_show_replication_origin_status() o on o.external_id = 'pg_' || u.oid limit 1`, r.Run.Back().Object()).
		Scan(&follows, &marker, &heard, &applied)
	if pg.Code(err) == pg.CodePrivilege {
		return "how far the old server had followed the new one only a superuser may ask (pg_show_replication_origin_status)", nil
	}
	if err != nil {
		return "", fmt.Errorf("look how far the way back had come: %w", err)
	}
	if !follows || applied == "" || applied == "0/0" {
		return "WHAT WAS WRITTEN TO THE NEW SERVER SINCE THE SWITCH IS LOST: nothing of it had come back to the old server", nil
	}
	text := "WHAT THE NEW SERVER WAS WRITTEN AND HAD NOT SENT IS LOST: the old server has what stood in the new one's WAL up to " + applied
	if heard != "" {
		text += "; the new server's last word came at " + heard
	}
	if marker != "" {
		text += "; the newest marker that is here was written at " + marker
	}
	return text, nil
}

// moveSequences puts sequences behind the rows that came by replication, which carries no positions: a server that
// was followed would give their values out again.
func (r *run) moveSequences(ctx context.Context, on *pg.Session) error {
	facts, err := catalog.Read(ctx, on, plan.Source, r.Run)
	if err != nil {
		return err
	}
	tables, err := fencedTables(ctx, on)
	if err != nil {
		return err
	}
	behind, err := catalog.Behind(ctx, on, plan.Selection{Sequences: facts.Sequences})
	if err != nil {
		return err
	}
	var moved []string
	for _, b := range behind {
		if !tables[b.Table] {
			continue
		}
		if _, err := on.Exec(ctx, "select setval("+plan.QuoteLiteral(b.Sequence.String())+", $1, true)", b.Found); err != nil {
			return fmt.Errorf("move sequence %s: %w", b.Sequence, err)
		}
		moved = append(moved, fmt.Sprintf("%s to %d", plan.OneLine(b.Sequence.String()), b.Found))
	}
	if len(moved) > 0 {
		r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("%d sequences stood behind rows that had come by replication, and were moved: %s. Look at those that feed no column yourself", len(moved), someOf(moved))})
	}
	return nil
}

// fencedTables are those that the fence stands on.
func fencedTables(ctx context.Context, q pg.Querier) (map[plan.Name]bool, error) {
	rows, err := q.Query(ctx, `select n.nspname, c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where t.tgname = $1 and not t.tgisinternal`, plan.FenceTrigger)
	if err != nil {
		return nil, fmt.Errorf("look for the fence: %w", err)
	}
	tables := map[plan.Name]bool{}
	var n plan.Name
	if _, err := pgx.ForEachRow(rows, []any{&n.Schema, &n.Name}, func() error {
		tables[n] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look for the fence: %w", err)
	}
	return tables, nil
}

// undoBack removes what leads back: the subscription on the source, without a word to the target, and where the target
// is there what the subscription reads from; and the slots of the fence's proof.
func (r *run) undoBack(ctx context.Context) error {
	lane := r.Run.Back()
	if _, err := r.source.Exec(ctx, pgsync.DropSubscriptionStatement(lane)); err != nil {
		return fmt.Errorf("drop subscription %s: %w", lane.Object(), err)
	}
	if r.target != nil {
		if err := pgsync.DropSlot(ctx, &pg.Source{Session: r.target.Session}, lane, pgsync.DropSlotStatement(lane)); err != nil {
			return err
		}
		if _, err := r.target.Exec(ctx, "drop publication if exists "+plan.QuoteIdent(lane.Object())); err != nil {
			return fmt.Errorf("drop publication %s: %w", lane.Object(), err)
		}
	}
	return r.dropProofs(ctx)
}

// dropProofs drops the slots of the fence's proof on the servers that are there.
func (r *run) dropProofs(ctx context.Context) error {
	for _, session := range r.sessions() {
		s := &pg.Source{Session: session}
		if err := pgsync.DropSlot(ctx, s, r.Run.Proof(), pgsync.DropSlotStatement(r.Run.Proof())); err != nil {
			return err
		}
	}
	return nil
}

package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// Abort takes everything back that the run has made, on both sides, before the point of no return. With an
// unset Target it works on the source alone: an orphan slot fills the source's disk.
func Abort(ctx context.Context, c Config) error {
	if c.Target.IsZero() {
		return c.abortSource(ctx)
	}
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	if known {
		if err := r.errRollingBack(ctx); err != nil {
			return err
		}
	}
	if err := refusePastReturn(ctx, r.source); err != nil {
		return err
	}
	if err := r.freeClients(ctx, known); err != nil {
		return err
	}
	if known {
		// Without its fence, dropped by hand, the source takes writes again; the target may still be the truth.
		if err := r.refuseReleased(ctx); err != nil {
			return err
		}
		if err := r.refuseDropped(ctx); err != nil {
			return err
		}
		// Half undone, the journal's records are no longer true: only abort may go on from here.
		if err := r.journal.Record(ctx, journal.Aborting, "", "", nil); err != nil {
			return err
		}
		if err := r.dropProofs(ctx); err != nil {
			return err
		}
		err = r.down(ctx)
	} else {
		err = r.undoSource(ctx, r.source)
	}
	if err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing of run " + string(r.Run) + " is left on either side"})
	return nil
}

// refuseReleased keeps what is on a target that was released: abort would take it all away.
func (r *run) refuseReleased(ctx context.Context) error {
	released, err := r.journal.Has(ctx, journal.Released)
	if err != nil || !released {
		return err
	}
	return plan.Fail(plan.KindPastReturn, "finish with pgleap cutover and pgleap finalize; if the target really is to be thrown away, drop its database by hand",
		"run %s was released: clients may have written to the target, and abort would remove all of it", r.Run)
}

// refuseDropped: a run that was ready for its switch, and has its slot but no schema pgleap on the source any
// more, may have been switched, released, and its fence dropped by hand before that could be written down. An
// abort of the source alone leaves neither.
func (r *run) refuseDropped(ctx context.Context) error {
	done, err := r.journal.Stages(ctx)
	if err != nil || !done[plan.StageFinish] {
		return err
	}
	if aborting, err := r.journal.Has(ctx, journal.Aborting); err != nil || aborting {
		return err
	}
	var dropped bool
	if err := r.source.QueryRow(ctx, `select to_regnamespace('pgleap') is null and (exists (select from pg_replication_slots where slot_name = any ($1)) or exists (select from pg_publication where pubname = any ($1)))`,
		objects(r.lanes)).Scan(&dropped); err != nil {
		return fmt.Errorf("look for schema pgleap on the source: %w", err)
	}
	if !dropped {
		return nil
	}
	return plan.Fail(plan.KindDrift, "if no client ever wrote to the target, drop its database and begin anew with an empty one",
		"schema pgleap was dropped from the source by hand; whether the target was released cannot be told, and abort would remove all that is on it")
}

// errAborting refuses to walk on a run that an abort has begun to take back.
func (r *run) errAborting(ctx context.Context) error {
	begun, err := r.journal.Has(ctx, journal.Aborting)
	if err != nil || !begun {
		return err
	}
	return plan.Fail(plan.KindDrift, "finish it with pgleap abort, then begin anew with pgleap sync", "an abort of run %s was begun and not finished", r.Run)
}

// refusePastReturn looks at the one fact that decides: does the fence stand?
func refusePastReturn(ctx context.Context, s *pg.Source) error {
	var stands bool
	if err := s.QueryRow(ctx, "select "+plan.FenceStands).Scan(&stands); err != nil {
		return fmt.Errorf("look for the fence: %w", err)
	}
	if !stands {
		return nil
	}
	return plan.Fail(plan.KindPastReturn, "finish with pgleap cutover, which goes on from here, and pgleap finalize. Only if the target is lost for good, and with it what has not come back: pgleap finalize --target-is-lost lets the source take writes again",
		"the switch is past the point of no return: the source is fenced and the target is the truth")
}

// down walks the stages backwards and undoes their steps, each of which may never have been done.
func (r *run) down(ctx context.Context) error {
	for _, stage := range slices.Backward(r.plan.Stages) {
		if stage.Irreversible || stage.ID == plan.StageSwitch {
			continue
		}
		for _, s := range slices.Backward(stage.Steps) {
			if s.Undo.IsZero() {
				continue
			}
			if err := r.undo(ctx, stage.ID, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) undo(ctx context.Context, stage plan.StageID, s plan.Step) error {
	var err error
	switch {
	case s.Undo.Call != "":
		err = r.call(ctx, s.Undo.Call, s)
	case s.On == plan.Source:
		_, err = r.source.Exec(ctx, s.Undo.SQL)
	default:
		_, err = r.target.Exec(ctx, s.Undo.SQL)
	}
	if err != nil {
		return fmt.Errorf("undo %s: %w", s.ID, err)
	}
	r.point(string(s.ID) + ".undone")
	r.emit(plan.Event{Kind: plan.EventUndone, Stage: stage, Step: s.ID, Message: "undone: " + s.Title})
	return nil
}

// abortSource undoes the source's part without a word to the target.
func (c Config) abortSource(ctx context.Context) error {
	r := &run{Config: c}
	defer r.close()
	if err := r.lockSource(ctx); err != nil {
		return err
	}
	if err := refusePastReturn(ctx, r.source); err != nil {
		return err
	}
	if err := r.freeClients(ctx, false); err != nil {
		return err
	}
	if err := r.undoSource(ctx, r.source); err != nil {
		return err
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: "nothing of run " + string(c.Run) + " is left on the source. If the target still exists, run pgleap abort with it too: its subscription retries in vain"})
	return nil
}

// lockSource takes the run lock on the source alone, and opens a session there.
func (r *run) lockSource(ctx context.Context) error {
	s, err := pg.OpenSource(ctx, r.Source, r.forLock())
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, s.Session, plan.Source)); err != nil {
		s.Close()
		return err
	}
	r.source, err = r.OpenSource(ctx)
	return err
}

// undoSource undoes what the run has on the source, known by its name alone: there is no journal to ask.
func (r *run) undoSource(ctx context.Context, s *pg.Source) error {
	o, err := r.place(ctx)
	if err != nil {
		return err
	}
	if o.run != "" && o.run != string(r.Run) {
		return plan.Fail(plan.KindBlocked, "name it with --run "+o.run, "schema pgleap on the source belongs to run %s, not to run %s", o.run, r.Run)
	}
	if r.lanes, err = r.lanesFound(ctx); err != nil {
		return err
	}
	if err := r.dropSubscriptions(ctx); err != nil {
		return err
	}
	if err := r.undoBack(ctx); err != nil {
		return err
	}
	stage := pgsync.Publish(r.lanes, plan.Facts{}, plan.Facts{}, plan.Selection{}, plan.Options{})
	for i, step := range slices.Backward(stage.Steps) {
		if i == 0 { // schema pgleap: the last to go, it knows what the identities were
			if err := r.putAllBack(ctx); err != nil {
				return err
			}
		}
		if err := r.undo(ctx, stage.ID, step); err != nil {
			return err
		}
	}
	return nil
}

// lanesFound are the run's lanes as the servers that are there know them, by their names alone: up to the last that has
// left something.
func (r *run) lanesFound(ctx context.Context) ([]plan.Lane, error) {
	most := 1
	for _, q := range r.sessions() {
		rows, err := q.Query(ctx, `select pubname::text from pg_publication where pubname ~ $1
union select slot_name::text from pg_replication_slots where database = current_database() and slot_name ~ $1
union select subname::text from pg_subscription where subname ~ $1 and subdbid = (select oid from pg_database where datname = current_database())`, r.Run.LanePattern())
		if err != nil {
			return nil, fmt.Errorf("look for the lanes of run %s: %w", r.Run, err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("look for the lanes of run %s: %w", r.Run, err)
		}
		for _, name := range names {
			most = max(most, r.Run.LaneOf(name))
		}
	}
	lanes := make([]plan.Lane, most)
	for i := range lanes {
		lanes[i] = plan.Lane{N: i + 1, Run: r.Run.Lane(i + 1)}
	}
	return lanes, nil
}

// sessions are those on the servers that are there.
func (r *run) sessions() (all []*pg.Session) {
	if r.source != nil {
		all = append(all, r.source.Session)
	}
	if r.target != nil {
		all = append(all, r.target.Session)
	}
	return all
}

// dropSubscriptions drops those of the lanes that lead forward, where the target is there.
func (r *run) dropSubscriptions(ctx context.Context) error {
	if r.target == nil {
		return nil
	}
	for _, l := range r.lanes {
		if _, err := r.target.Exec(ctx, pgsync.DropSubscriptionStatement(l.Run)); err != nil {
			return fmt.Errorf("drop subscription %s: %w", l.Object(), err)
		}
	}
	return nil
}

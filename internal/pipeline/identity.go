package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

const (
	// A statement that waits for a table's ACCESS EXCLUSIVE lock makes everybody queue behind it, readers too:
	// the attempts are short, and leave time between them.
	firstAlterTimeout = 50 * time.Millisecond
	mostAlterTimeout  = 500 * time.Millisecond
	alterBreath       = 200 * time.Millisecond
)

// alterBriefly changes a table under a lock that nobody has to wait for long. It tries until the slot's own
// deadline, and says on whom it waits.
func (r *run) alterBriefly(ctx context.Context, s *pg.Session, step plan.StepID, statement string) error {
	limited, cancel := context.WithTimeout(ctx, r.alterDeadline())
	defer cancel()
	blockers, err := r.watched(ctx, step, func() error { return alterInAttempts(limited, s, statement) })
	if err == nil {
		return nil
	}
	if limited.Err() != nil && ctx.Err() == nil {
		return plan.Fail(plan.KindNotReady, "let the transaction end that holds a lock on the table, or end it; then run the same command again",
			"%s: the table was in use for %s%s", statement, plan.HumanDuration(r.alterDeadline()), waitsFor(blockers))
	}
	return fmt.Errorf("%s: %w", statement, err)
}

func alterInAttempts(ctx context.Context, s *pg.Session, statement string) error {
	for timeout := firstAlterTimeout; ; timeout = min(2*timeout, mostAlterTimeout) {
		err := s.InTransaction(ctx, func() error {
			if _, err := s.Exec(ctx, fmt.Sprintf("set local lock_timeout = '%dms'", timeout.Milliseconds())); err != nil {
				return err
			}
			_, err := s.Exec(ctx, statement)
			return err
		})
		if pg.Code(err) != pg.CodeLockTimeout {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(alterBreath):
		}
	}
}

func (r *run) alterDeadline() time.Duration {
	if r.Options.SlotTimeout > 0 {
		return r.Options.SlotTimeout
	}
	return 5 * time.Minute // abort and finalize have no such flag
}

func waitsFor(blockers []pg.Blocker) string {
	text := ""
	for _, b := range blockers {
		text += "\n  waits for " + b.String()
	}
	return text
}

// putBack gives a table its former replica identity, unless it has it or never lost it.
func (r *run) putBack(ctx context.Context, s plan.Step) error {
	if s.Do.Call == pgsync.CallPutBack { // a step of finalize: the walker has looked at its probe
		if s.On == plan.Target {
			return r.alterBriefly(ctx, r.target.Session, s.ID, s.Do.SQL)
		}
		return r.alterBriefly(ctx, r.source.Session, s.ID, s.Do.SQL)
	}
	var state string
	if err := r.source.QueryRow(ctx, s.Probe).Scan(&state); err != nil {
		return fmt.Errorf("look at the replica identity: %w", err)
	}
	if state != string(plan.Done) {
		return nil
	}
	return r.alterBriefly(ctx, r.source.Session, s.ID, s.Undo.SQL)
}

// putAllBack is putBack for an abort without a journal: what there is to put back stands on the source.
func (r *run) putAllBack(ctx context.Context) error {
	var there bool
	if err := r.source.QueryRow(ctx, "select to_regproc('"+pgsync.PutBackFunction+"') is not null").Scan(&there); err != nil {
		return fmt.Errorf("look for what is to be put back: %w", err)
	}
	if !there {
		return nil
	}
	rows, err := r.source.Query(ctx, pgsync.PutBackStatement)
	if err != nil {
		return fmt.Errorf("read what is to be put back: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct{ Name, Probe, Statement string }])
	if err != nil {
		return fmt.Errorf("read what is to be put back: %w", err)
	}
	for _, b := range list {
		var state string
		if err := r.source.QueryRow(ctx, b.Probe).Scan(&state); err != nil {
			return fmt.Errorf("look at the replica identity of %s: %w", b.Name, err)
		}
		if state == string(plan.Done) {
			continue
		}
		if err := r.alterBriefly(ctx, r.source.Session, "publish.identity", b.Statement); err != nil {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventUndone, Stage: plan.StagePublish, Message: "undone: replica identity of " + plan.OneLine(b.Name)})
	}
	return nil
}

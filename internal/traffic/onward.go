package traffic

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// Onward brings a switch to its end whose fence is committed and whose process is gone: what is left of the deferred
// definitions, the gate of the side that takes over, then the clients. opens is the session that may hold them half
// done. It can be called again.
func (t *Traffic) Onward(ctx context.Context, rest Rest, opens Process) error {
	limited, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	target, err := pg.OpenTarget(limited, t.To, pg.Options{Verb: "watchdog" + journal.LockMark})
	if err != nil {
		return err
	}
	defer target.Close()
	if err := end(limited, target, opens); err != nil {
		return err
	}
	if err := rest.create(limited, target, t.Run); err != nil {
		return err
	}
	if err := openGate(limited, target); err != nil {
		return err
	}
	t.point("watchdog.opened")
	if t.Pooled() { // else the hook is called by release
		if err := t.turn(ctx); err != nil {
			return err
		}
	}
	return t.release(ctx, true)
}

// openGate lifts the fence that an earlier way back may have left there.
func openGate(ctx context.Context, target *pg.Target) error {
	var gate bool
	if err := target.QueryRow(ctx, "select to_regclass('pgleap.gate') is not null").Scan(&gate); err != nil || !gate {
		return err
	}
	if _, err := target.Exec(ctx, plan.OpenGate); err != nil {
		return fmt.Errorf("open the gate: %w", err)
	}
	return nil
}

// create makes what the journal does not have yet.
func (r Rest) create(ctx context.Context, t *pg.Target, run plan.RunID) error {
	if len(r.Steps) == 0 {
		return nil
	}
	done, err := journal.On(t, run).Steps(ctx)
	if err != nil {
		return err
	}
	if _, err := t.Exec(ctx, r.Session); err != nil {
		return err
	}
	return t.InTransaction(ctx, func() error {
		for _, s := range r.Steps {
			if done[s.ID] {
				continue
			}
			if _, err := t.Exec(ctx, s.Do.SQL); err != nil {
				return fmt.Errorf("%s: %w", s.Title, err)
			}
			if err := journal.RecordOn(ctx, t, journal.StepDone, r.Stage, s.ID, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// end ends a server process and waits until it is gone: what it still commits must be seen.
func end(ctx context.Context, q pg.Querier, p Process) error {
	if p.PID == 0 {
		return nil
	}
	for {
		var left bool
		if err := q.QueryRow(ctx, `select coalesce(bool_or(pg_terminate_backend(pid)), false) or count(*) > 0 from pg_stat_activity where pid = $1 and backend_start::text = $2`,
			int32(p.PID), p.Started).Scan(&left); err != nil {
			return fmt.Errorf("end process %d: %w", p.PID, err)
		}
		if !left {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d of the server is still there: %w", p.PID, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

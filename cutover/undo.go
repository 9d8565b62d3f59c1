package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// letGoAfter is how long, beyond the budget, the server keeps the locks of a fence's session that it cannot
// reach any more: it ends the session by itself.
const letGoAfter = 2 * time.Second

// boundFence makes the server let go of the fence's locks when we, our machine or the network die without a
// word: an idle transaction is ended, a client that is gone is noticed. Parameters that a version or platform
// does not have are left out.
func (w *Switch) boundFence(ctx context.Context, s *sessions) error {
	limit := (w.Budget + letGoAfter).Milliseconds()
	if _, err := s.fence.Exec(ctx, fmt.Sprintf(`select set_config(p.name, v.value, false) from (values ('idle_in_transaction_session_timeout', '%[1]d'), ('statement_timeout', '%[1]d'),
  ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '%[1]d')) v(name, value) join pg_settings p using (name)`, limit)); err != nil {
		return err
	}
	// Where the platform cannot poll for it, this is refused: the timeouts above remain.
	_, _ = s.fence.Exec(ctx, "set client_connection_check_interval = '1s'")
	const started = "select backend_start::text from pg_stat_activity where pid = pg_backend_pid()"
	if err := s.set.QueryRow(ctx, started).Scan(&s.setStarted); err != nil {
		return err
	}
	return s.fence.QueryRow(ctx, started).Scan(&s.fenceStarted)
}

// undo takes an attempt back, and claims that the source is writable only when the source has said so.
func (w *Switch) undo(ctx context.Context, s *sessions, cause error, started time.Time) error {
	if err := w.takeBack(ctx, s); err != nil {
		return fmt.Errorf("%w; cause: %v", err, cause) //nolint:errorlint // the cause's kind is not what has happened
	}
	return w.undone(ctx, cause, time.Since(started))
}

// takeBack lets the clients go on at the source, then removes what was prepared.
func (w *Switch) takeBack(ctx context.Context, s *sessions) error {
	ctx = context.WithoutCancel(ctx)
	if err := w.giveBack(ctx, s); err != nil {
		return err
	}
	w.unprepare(ctx)
	return nil
}

// giveBack gives the locks back, then lets the clients go on at the source.
func (w *Switch) giveBack(ctx context.Context, s *sessions) error {
	_ = s.set.Rollback()
	if err := s.fence.Rollback(); err != nil {
		w.Emit(plan.Event{Kind: plan.EventWaiting, Stage: w.Stage.ID, Message: w.Direction.Words("the source did not answer the rollback: ending the fence's session over a new connection")})
		if err := w.endFence(ctx, s); err != nil {
			return fmt.Errorf(w.Direction.Words("the switch is given up, but the source cannot be asked whether it has let go of its locks (%w); it does so by itself within %s. "+
				"When it can be reached: select pg_terminate_backend(%d)"), err, plan.HumanDuration(w.Budget+letGoAfter), s.fence.PID())
		}
	}
	w.point("given-back")
	if err := w.Traffic.Back(ctx); err != nil {
		return fmt.Errorf(w.Direction.Words("the source is writable again, but the clients are still held: %w"), err)
	}
	return nil
}

func (w *Switch) unprepare(ctx context.Context) {
	if err := w.Back.Undo(ctx); err != nil {
		w.Emit(plan.Event{Kind: plan.EventNote, Stage: w.Stage.ID, Message: "left behind, and taken away by the next attempt or by abort: " + err.Error()})
	}
}

// endFence ends the fence's server process over a new connection and waits until it is gone.
func (w *Switch) endFence(ctx context.Context, s *sessions) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	source, err := w.Connect.OpenSource(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	return waitForEnd(ctx, source, s)
}

func waitForEnd(ctx context.Context, source *pg.Source, s *sessions) error {
	for {
		var left bool
		if err := source.QueryRow(ctx, `select coalesce(bool_or(pg_terminate_backend(pid)), false) or count(*) > 0 from pg_stat_activity where pid = $1 and backend_start::text = $2`,
			int32(s.fence.PID()), s.fenceStarted).Scan(&left); err != nil || !left {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the fence's session, pid %d, is still there: %w", s.fence.PID(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stateAfter asks the source over a new connection whether the fence was committed. The server may still be
// working on the commit: only when its process is gone the answer holds.
func (w *Switch) stateAfter(ctx context.Context, s *sessions) (plan.State, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	source, err := w.Connect.OpenSource(ctx)
	if err != nil {
		return "", err
	}
	defer source.Close()
	if err := waitForEnd(ctx, source, s); err != nil {
		return "", err
	}
	state, err := w.fenceState(ctx, source)
	if err != nil || state != plan.Done {
		return state, err
	}
	// A gate is seen closed before its commit: where the triggers stood already, it may not be on disk yet.
	return state, source.ExecDurably(ctx, plan.CloseGate)
}

// undone explains an attempt that was taken back.
func (w *Switch) undone(ctx context.Context, err error, took time.Duration) error {
	fix := w.Direction.Words("run pgleap cutover again when the cause is gone")
	if stop := stopped(ctx); stop != nil {
		return fmt.Errorf(w.Direction.Words("the switch was undone after %s; the source is writable again: %w"), plan.HumanDuration(took), stop)
	}
	if ctx.Err() != nil {
		return plan.Fail(plan.KindInterrupted, fix, w.Direction.Words("the switch was interrupted and undone; the source is writable again: %w"), err)
	}
	var blocked *blockedError
	if errors.As(err, &blocked) {
		fix = blocked.fix()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return plan.Fail(plan.KindNotSwitched, fix, w.Direction.Words("the switch was not complete within %s (--max-write-stall) and was undone after %s; the source is writable again: %w"),
			plan.HumanDuration(w.Budget), plan.HumanDuration(took), err)
	}
	return plan.Fail(plan.KindNotSwitched, fix, w.Direction.Words("the switch failed and was undone; the source is writable again: %w"), err)
}

// notBegun explains a switch that failed before anybody had to wait.
func (w *Switch) notBegun(ctx context.Context, err error) error {
	if stop := stopped(ctx); stop != nil {
		return fmt.Errorf("the switch was not begun, no write was stopped: %w", stop)
	}
	if ctx.Err() != nil || plan.KindOf(err) != "" {
		return err
	}
	return plan.Fail(plan.KindNotSwitched, w.Direction.Words("run pgleap cutover again when the cause is gone"), "the switch was not begun, no write was stopped: %w", err)
}

// stopped returns the cause that has ended ctx, where it is one of kind not-switched: somebody's word to give up,
// other than an interrupt.
func stopped(ctx context.Context) error {
	if cause := context.Cause(ctx); plan.KindOf(cause) == plan.KindNotSwitched {
		return cause
	}
	return nil
}

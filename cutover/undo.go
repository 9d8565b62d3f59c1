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
	return s.fence.QueryRow(ctx, "select backend_start::text from pg_stat_activity where pid = pg_backend_pid()").Scan(&s.fenceStarted)
}

// undo takes an attempt back, and claims that the source is writable only when the source has said so.
func (w *Switch) undo(ctx context.Context, s *sessions, cause error, started time.Time) error {
	if err := w.takeBack(ctx, s); err != nil {
		return fmt.Errorf("%w; cause: %w", err, cause)
	}
	return w.undone(ctx, cause, time.Since(started))
}

// takeBack gives the locks back, then lets the clients go on at the source, then removes what was prepared.
func (w *Switch) takeBack(ctx context.Context, s *sessions) error {
	ctx = context.WithoutCancel(ctx)
	_ = s.set.Rollback()
	if err := s.fence.Rollback(); err != nil {
		w.Emit(plan.Event{Kind: plan.EventWaiting, Stage: plan.StageSwitch, Message: "the source did not answer the rollback: ending the fence's session over a new connection"})
		if err := w.endFence(ctx, s); err != nil {
			return fmt.Errorf("the switch is given up, but the source cannot be asked whether it has let go of its locks (%w); it does so by itself within %s. "+
				"When it can be reached: select pg_terminate_backend(%d)", err, plan.HumanDuration(w.Budget+letGoAfter), s.fence.PID())
		}
	}
	w.point("given-back")
	if err := w.Traffic.Back(ctx); err != nil {
		return fmt.Errorf("the source is writable again, but the clients are still held: %w", err)
	}
	if err := w.Back.Undo(ctx); err != nil {
		w.Emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: "left behind, and taken away by the next attempt or by abort: " + err.Error()})
	}
	return nil
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
	// A gate is seen closed before its commit: where the triggers stood already, it may not be on disk yet. Local,
	// because a standby that does not answer may be what the commit waited for.
	if _, err := source.Exec(ctx, "set synchronous_commit = local"); err != nil {
		return "", err
	}
	_, err = source.Exec(ctx, plan.CloseGate)
	return state, err
}

// undone explains an attempt that was taken back.
func (w *Switch) undone(ctx context.Context, err error, took time.Duration) error {
	fix := "run pgleap cutover again when the cause is gone"
	if ctx.Err() != nil {
		return plan.Fail(plan.KindInterrupted, fix, "the switch was interrupted and undone; the source is writable again: %w", err)
	}
	var blocked *blockedError
	if errors.As(err, &blocked) {
		fix = blocked.fix()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return plan.Fail(plan.KindNotSwitched, fix, "the switch was not complete within %s (--max-write-stall) and was undone after %s; the source is writable again: %w",
			plan.HumanDuration(w.Budget), plan.HumanDuration(took), err)
	}
	return plan.Fail(plan.KindNotSwitched, fix, "the switch failed and was undone; the source is writable again: %w", err)
}

// notBegun explains a switch that failed before anybody had to wait.
func notBegun(ctx context.Context, err error) error {
	if ctx.Err() != nil || plan.KindOf(err) != "" {
		return err
	}
	return plan.Fail(plan.KindNotSwitched, "run pgleap cutover again when the cause is gone", "the switch was not begun, no write was stopped: %w", err)
}

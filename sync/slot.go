package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// poll is how often a long wait looks again: short statements, never inside a transaction.
const poll = 250 * time.Millisecond

// CreateSlot creates the slot over the replication protocol, with a deadline, and says meanwhile whom it
// waits for. On a failure no slot is left.
func CreateSlot(ctx context.Context, s *pg.Source, step plan.Step, timeout time.Duration, emit func(plan.Event)) error {
	return createSlot(ctx, s, step.Do.SQL, timeout, step, emit, nil)
}

// createSlot hands the name of the snapshot that the slot exports to taken, which has to take it over before it returns.
func createSlot(ctx context.Context, s *pg.Source, statement string, timeout time.Duration, step plan.Step, emit func(plan.Event), taken func(snapshot string) error) error {
	r, err := pg.OpenSourceReplication(ctx, s.Address(), "sync")
	if err != nil {
		return err
	}
	defer r.Close()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, snapshot, err := r.CreateSlot(limited, statement)
		if err == nil && taken != nil {
			err = taken(snapshot)
		}
		result <- err
	}()
	var last []pg.Blocker
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			return slotError(ctx, err, s.Side(), last, timeout)
		case <-tick.C:
			if now, err := pg.Blockers(ctx, s, r.PID()); err == nil && len(now) > 0 {
				last = now
				emit(plan.Event{Kind: plan.EventWaiting, Step: step.ID, Message: "the slot waits for open write transactions: " + now[0].String(), Data: map[string]any{"waiting_for": len(now)}})
			}
		}
	}
}

func slotError(ctx context.Context, err error, side string, blockers []pg.Blocker, timeout time.Duration) error {
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	text, fix := "", "run the same command again when the transactions have ended"
	for _, b := range blockers {
		text += "\n  " + b.String()
		fix = fmt.Sprintf("let the transaction end, or end it on the %s with: select pg_terminate_backend(%d); then run the same command again (--slot-timeout of sync sets how long to wait)", side, b.PID)
	}
	return plan.Fail(plan.KindNotReady, fix, "the slot could not be made within %s: it waits for open write transactions, of any database of the cluster%s", plan.HumanDuration(timeout), text)
}

// DropSlot drops the run's slot, and the slots of unfinished first copies. The walsender that used it ends a
// moment after the subscription: it is waited for, then ended.
func DropSlot(ctx context.Context, s *pg.Source, run plan.RunID, statement string) error {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	started := time.Now()
	for {
		if _, err := s.Exec(limited, statement); err != nil && pg.Code(err) != pg.CodeObjectInUse && pg.Code(err) != pg.CodeUndefined { // that of a first copy goes by itself, too
			return fmt.Errorf("drop the slot: %w", err)
		}
		var left []string
		if err := s.QueryRow(limited, `select coalesce(array_agg(slot_name::text), '{}') from pg_replication_slots
			where database = current_database() and (slot_name = $1 or `+syncSlots(run)+`)`, run.Object()).Scan(&left); err != nil {
			return fmt.Errorf("look for slots that are left: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Since(started) > time.Second {
			if _, err := s.Exec(limited, `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = any ($1) and active_pid is not null`, left); err != nil {
				return fmt.Errorf("end the walsender of slot %s: %w", left[0], err)
			}
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("drop slot %s: still in use: %w", strings.Join(left, ", "), limited.Err())
		case <-time.After(poll / 5):
		}
	}
}

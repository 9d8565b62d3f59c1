package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Worker is what the target knows of the run's apply worker.
type Worker struct {
	Exists      bool     `json:"exists"`
	Enabled     bool     `json:"enabled"`
	PID         *int     `json:"pid"`                    // nil: the apply worker is not running
	ApplyErrors *int64   `json:"apply_errors,omitempty"` // 15+
	SyncErrors  *int64   `json:"sync_errors,omitempty"`  // 15+
	LastMessage *float64 `json:"last_message_seconds,omitempty"`
	Running     *float64 `json:"running_seconds,omitempty"` // since its last start; nil also where we may not see it
	Unready     int      `json:"tables_not_ready"`

	subscription string
}

// recovered is how long a worker must have run after errors to be called well again: one that fails at once is
// started again every 5 s.
const recovered = 10.0

// ReadWorker reads it. relid is null on the row of the apply worker itself; table workers have rows of their own.
func ReadWorker(ctx context.Context, t *pg.Target, run plan.RunID) (Worker, error) {
	errorsOf, join := `null::int8, null::int8`, ``
	if t.Version().Has(pgver.SubscriptionStats) {
		errorsOf, join = `e.apply_error_count, e.sync_error_count`, `left join pg_stat_subscription_stats e on e.subid = s.oid`
	}
	w := Worker{subscription: run.Object()}
	err := t.QueryRow(ctx, `select true, s.subenabled, a.pid, `+errorsOf+`, extract(epoch from now() - a.last_msg_receipt_time)::float8,
  extract(epoch from clock_timestamp() - p.backend_start)::float8, (select count(*) from pg_subscription_rel r where r.srsubid = s.oid and r.srsubstate <> 'r')
from pg_subscription s left join pg_stat_subscription a on a.subid = s.oid and a.relid is null and a.pid is not null
  left join pg_stat_activity p on p.pid = a.pid `+join+`
where s.subname = $1 and s.subdbid = (select oid from pg_database where datname = current_database()) limit 1`, run.Object()).
		Scan(&w.Exists, &w.Enabled, &w.PID, &w.ApplyErrors, &w.SyncErrors, &w.LastMessage, &w.Running, &w.Unready)
	if errors.Is(err, pgx.ErrNoRows) {
		return Worker{}, nil
	}
	if err != nil {
		return Worker{}, fmt.Errorf("read the state of the apply worker: %w", err)
	}
	return w, nil
}

// Enable is the statement that lets a disabled subscription go on.
func (w Worker) Enable() string {
	return "alter subscription " + plan.QuoteIdent(w.subscription) + " enable; (on the target)"
}

// Trouble says in words what is wrong with the worker and how to find out more, or "".
func (w Worker) Trouble() string {
	failed := ""
	steady := w.Running != nil && *w.Running > recovered
	if w.ApplyErrors != nil && *w.ApplyErrors > 0 && !steady {
		failed += fmt.Sprintf(", %d errors while applying", *w.ApplyErrors)
	}
	if w.SyncErrors != nil && *w.SyncErrors > 0 && w.Unready > 0 {
		failed += fmt.Sprintf(", %d errors while copying", *w.SyncErrors)
	}
	switch {
	case !w.Exists:
		return "the subscription is gone: somebody dropped it. Mend: pgleap abort, then pgleap sync"
	case !w.Enabled:
		return "the subscription is disabled. Mend: " + w.Enable()
	case w.PID == nil:
		return "the apply worker is not running" + failed + ": PostgreSQL starts it again every 5 s and writes the reason into the target's log (a missing column or table, a duplicate key, no free worker slot: max_logical_replication_workers, max_worker_processes)"
	case failed != "":
		return "the first copy or the apply had errors" + failed + "; PostgreSQL tries again by itself, the reasons are in the target's log"
	}
	return ""
}

// Lag is how far the target is behind.
type Lag struct {
	Bytes    int64     `json:"bytes"`   // WAL of the source that the target has not confirmed
	Seconds  float64   `json:"seconds"` // replay_lag as the walsender measures it; 0 while idle
	Retained int64     `json:"retained_bytes"`
	Status   string    `json:"wal_status,omitempty"`     // 13+: reserved, extended, unreserved, lost
	Safe     *int64    `json:"safe_wal_bytes,omitempty"` // 13+: WAL that may still be written before the slot is in danger
	Active   bool      `json:"active"`
	Flushed  *pg.LSN   `json:"confirmed_flush_lsn,omitempty"`
	Now      pg.LSN    `json:"current_lsn"`
	At       time.Time `json:"at"`
}

// ErrNoSlot is returned when the run's slot is not there.
var ErrNoSlot = errors.New("the replication slot is not there")

// ReadLag reads the lag on the source.
func ReadLag(ctx context.Context, s *pg.Source, run plan.RunID) (Lag, error) {
	status := `'', null::int8`
	if s.Version().Has(pgver.SlotWALStatus) {
		status = `coalesce(l.wal_status, ''), l.safe_wal_size`
	}
	l := Lag{At: time.Now()}
	err := s.QueryRow(ctx, `select coalesce((pg_current_wal_lsn() - l.confirmed_flush_lsn)::int8, 0), coalesce(extract(epoch from r.replay_lag), 0)::float8,
  coalesce((pg_current_wal_lsn() - l.restart_lsn)::int8, 0), `+status+`, l.active, l.confirmed_flush_lsn, pg_current_wal_lsn()
from pg_replication_slots l left join pg_stat_replication r on r.pid = l.active_pid where l.slot_name = $1`, run.Object()).
		Scan(&l.Bytes, &l.Seconds, &l.Retained, &l.Status, &l.Safe, &l.Active, &l.Flushed, &l.Now)
	if errors.Is(err, pgx.ErrNoRows) {
		return Lag{}, fmt.Errorf("%s: %w", run.Object(), ErrNoSlot)
	}
	if err != nil {
		return Lag{}, fmt.Errorf("read the lag: %w", err)
	}
	return l, nil
}

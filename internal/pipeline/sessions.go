package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// Sessions says what becomes of the clients on the server that is left, after the release.
type Sessions string

// Kept sessions meet the fence's error with their next write; terminated ones connect anew, to wherever they are
// pointed by then.
const (
	SessionsKeep      Sessions = "keep"
	SessionsTerminate Sessions = "terminate"
)

// ClientsReport is what the clients saw of a switch.
type ClientsReport struct {
	Sessions   []plan.Clients `json:"sessions"`          // on the server that is left, at the release; without those of a pooler
	Terminated int            `json:"terminated"`        // of them
	Refused    *int64         `json:"refused,omitempty"` // writes of theirs that met the fence until the report was written; nil: not known
	Poolers    []PoolerReport `json:"poolers,omitempty"`
}

// PoolerReport is what a pooler counted over the switch: the difference of its own statistics.
type PoolerReport struct {
	Name    string             `json:"name"`
	Figures map[string]float64 `json:"figures"` // such as "clients", "transactions", "paused_ms", "longest_wait_ms"
}

// tellSessions deals with the clients that are still on the side that is left. The point of no return is passed:
// whatever fails here is told, and stops nothing.
func (r *run) tellSessions(ctx context.Context, left *pg.Session) (ClientsReport, error) {
	var c ClientsReport
	if r.pooled() {
		c.Poolers = r.poolersSaw(ctx, r.saw)
	}
	pooled, err := r.pooledPIDs(ctx)
	if err != nil {
		return c, err
	}
	if c.Sessions, err = catalog.Clients(ctx, left, pooled); err != nil {
		return c, err
	}
	if r.pooled() || r.Control.Sessions != SessionsTerminate {
		return c, nil
	}
	pids, err := pidsOf(ctx, left)
	if err != nil {
		return c, err
	}
	var refused error
	for _, pid := range pids { // one by one: a superuser's session may not be ended by everybody
		var ended bool
		if err := left.QueryRow(ctx, `select pg_terminate_backend($1)`, pid).Scan(&ended); err != nil {
			refused = fmt.Errorf("end the session with pid %d: %s", pid, pg.Message(err))
		} else if ended {
			c.Terminated++
		}
	}
	return c, refused
}

func pidsOf(ctx context.Context, left *pg.Session) ([]int32, error) {
	rows, err := left.Query(ctx, `select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and application_name not like 'pgleap%'`)
	if err != nil {
		return nil, fmt.Errorf("list the sessions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// refusals is how many writes the fence of that server has refused since it was made.
func refusals(ctx context.Context, left *pg.Session) (n int64, err error) {
	if err = left.QueryRow(ctx, `select case when is_called then last_value else 0 end from pgleap.refused`).Scan(&n); err != nil {
		err = fmt.Errorf("count the refused writes: %w", err)
	}
	return n, err
}

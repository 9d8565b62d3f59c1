package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Blocker is a session that something of ours waits for.
type Blocker struct {
	PID         int
	User        string
	Database    string
	Application string
	State       string
	Age         time.Duration // of its transaction
	Query       string        // its last statement, cut
	Autovacuum  bool
}

// String says who it is, as an operator would look for it.
func (b Blocker) String() string {
	if b.Autovacuum {
		return fmt.Sprintf("pid %d, an autovacuum worker: %s", b.PID, orNone(b.Query))
	}
	age := fmt.Sprintf("%.1f s", b.Age.Seconds())
	if b.Age >= 2*time.Minute {
		age = fmt.Sprintf("%.0f min", b.Age.Minutes())
	}
	return fmt.Sprintf("pid %d, %s on %s, application %s, open %s, %s, last statement: %s",
		b.PID, orNone(b.User), orNone(b.Database), orNone(b.Application), age, orNone(b.State), orNone(b.Query))
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return strings.Join(strings.Fields(s), " ")
}

// Blockers returns the sessions that the server process pid waits for. A prepared transaction has pid 0.
func Blockers(ctx context.Context, q Querier, pid uint32) ([]Blocker, error) {
	return sessions(ctx, q, "pg_blocking_pids($1::int)", int32(pid))
}

// Sessions returns those with the pids, as blockers. A prepared transaction has pid 0.
func Sessions(ctx context.Context, q Querier, pids []int32) ([]Blocker, error) {
	return sessions(ctx, q, "$1::int[]", pids)
}

func sessions(ctx context.Context, q Querier, pids string, arg any) ([]Blocker, error) {
	rows, err := q.Query(ctx, `select b.pid, coalesce(a.usename, ''), coalesce(a.datname, ''), coalesce(a.application_name, ''),
  case when b.pid = 0 then 'a prepared transaction: see pg_prepared_xacts' else coalesce(a.state, '') end,
  coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.backend_start)), 0)::float8, coalesce(left(a.query, 120), ''),
  coalesce(a.backend_type = 'autovacuum worker', false)
from unnest(`+pids+`) b(pid) left join pg_stat_activity a using (pid) order by a.xact_start`, arg)
	if err != nil {
		return nil, fmt.Errorf("find who is waited for: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Blocker, error) {
		var b Blocker
		var seconds float64
		err := r.Scan(&b.PID, &b.User, &b.Database, &b.Application, &b.State, &seconds, &b.Query, &b.Autovacuum)
		b.Age = time.Duration(seconds * float64(time.Second))
		return b, err
	})
}

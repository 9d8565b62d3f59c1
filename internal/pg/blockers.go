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
	return pgx.CollectRows(rows, scanBlocker)
}

func scanBlocker(r pgx.CollectableRow) (Blocker, error) {
	var b Blocker
	var seconds float64
	err := r.Scan(&b.PID, &b.User, &b.Database, &b.Application, &b.State, &seconds, &b.Query, &b.Autovacuum)
	b.Age = time.Duration(seconds * float64(time.Second))
	return b, err
}

// OpenLonger returns the client transactions of the session's database that are open for longer than age, the
// oldest first, but ours. With readers all of them count, else those that a lock against writers has to wait for:
// what they hold on a table that is no temporary one conflicts with SHARE ROW EXCLUSIVE.
func OpenLonger(ctx context.Context, q Querier, age time.Duration, readers bool) ([]Blocker, error) {
	rows, err := q.Query(ctx, `select a.pid, coalesce(a.usename, ''), coalesce(a.datname, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
  extract(epoch from clock_timestamp() - a.xact_start)::float8, coalesce(left(a.query, 120), ''), false
from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend' and a.application_name not like 'pgleap%'
  and a.xact_start < clock_timestamp() - $1::float8 * interval '1 s'
  and ($2 or exists (select from pg_locks l join pg_class c on c.oid = l.relation
    where l.pid = a.pid and l.granted and l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database()) and c.relpersistence <> 't' and c.oid >= 16384
      and l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
order by a.xact_start`, age.Seconds(), readers)
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return pgx.CollectRows(rows, scanBlocker)
}

// SeesTransactions tells whether OpenLonger sees the transactions of every role, not only of those that the session's
// role is a member of.
func SeesTransactions(ctx context.Context, q Querier) (all bool, err error) {
	if err = q.QueryRow(ctx, `select pg_has_role(current_user, 'pg_read_all_stats', 'usage')`).Scan(&all); err != nil {
		err = fmt.Errorf("look whose transactions can be seen: %w", err)
	}
	return all, err
}

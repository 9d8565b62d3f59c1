package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Two halves of the advisory lock's key: "pglp", and one run a database.
const lockClass, lockObject = 0x70676c70, 1

// Lock is the run lock on one server: it falls with its session, so a killed pgleap leaves none behind.
type Lock struct {
	session *pg.Session
	side    plan.Side
	mu      sync.Mutex // a session carries one statement at a time
}

// Unlock ends the lock's session.
func (l *Lock) Unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session.Close()
}

// Held fails when the lock's session is lost: somebody else may be walking then.
func (l *Lock) Held(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	var one int
	err := l.session.QueryRow(limited, `select 1`).Scan(&one)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return plan.Fail(plan.KindLocked, "run the same command again", "the run lock on the %s is lost, its session has ended: another pgleap may have taken it: %w", l.side, err)
}

// LockMark stands behind the verb in the application_name of a session that is opened to take the lock. Whoever
// gets the lock lets such sessions be: their pgleap is about to ask for it.
const LockMark = " lock"

// A pgleap that has just ended, or was killed, holds the lock until its server notices: for so long Take tries
// again before it gives up.
const (
	lockPatience = 5 * time.Second
	lockPoll     = 20 * time.Millisecond
)

// Take locks the run on the session's server, and ends there what a killed pgleap left running. The session
// belongs to the lock from then on. When somebody else holds it, the error names the holder.
func Take(ctx context.Context, s *pg.Session, side plan.Side) (*Lock, error) {
	limited, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		// On ctx: the end of our patience must not end the session's query.
		var ok bool
		if err := s.QueryRow(ctx, `select pg_try_advisory_lock($1, $2)`, lockClass, lockObject).Scan(&ok); err != nil {
			return nil, fmt.Errorf("lock the run on the %s: %w", side, err)
		}
		if ok {
			return &Lock{session: s, side: side}, endOrphans(ctx, s, side)
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, held(ctx, s, side)
		case <-time.After(lockPoll):
		}
	}
}

// held names the holder of the lock.
func held(ctx context.Context, s *pg.Session, side plan.Side) error {
	var pid int
	var name, user, client string
	var since time.Time
	err := s.QueryRow(ctx, `select a.pid, regexp_replace(a.application_name, $3 || '$', ''), a.usename, coalesce(host(a.client_addr), 'a local socket'), a.backend_start
		from pg_locks l join pg_stat_activity a using (pid)
		where l.locktype = 'advisory' and l.granted and l.classid = $1 and l.objid = $2
		  and l.database = (select oid from pg_database where datname = current_database())`, lockClass, lockObject, LockMark).Scan(&pid, &name, &user, &client, &since)
	if errors.Is(err, pgx.ErrNoRows) {
		return plan.Fail(plan.KindLocked, "run the same command again", "another run held the lock on the %s and has just let go of it", side)
	}
	if err != nil {
		return fmt.Errorf("find the holder of the run lock on the %s: %w", side, err)
	}
	return plan.Fail(plan.KindLocked, fmt.Sprintf("wait for it, or, if it is dead, end it on the %s with: select pg_terminate_backend(%d)", side, pid),
		"another pgleap holds the run lock on the %s: %s as %s from %s, pid %d, since %s", side, name, user, client, pid, since.Format(time.DateTime))
}

// endOrphans ends statements that a killed pgleap left running on the server, and waits until they are gone:
// with the run lock in our hands nobody else can be walking, and what they still commit must be seen. Whoever
// only wants the lock is let be (LockMark). Without the right to end sessions they are left: what they hold ends by
// itself.
func endOrphans(ctx context.Context, s *pg.Session, side plan.Side) error {
	limited, cancel := context.WithTimeout(ctx, orphanPatience)
	defer cancel()
	for {
		var left int
		err := s.QueryRow(ctx, `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()
			  and application_name in ('pgleap/sync', 'pgleap/cutover', 'pgleap/rollback', 'pgleap/repair', 'pgleap/abort', 'pgleap/finalize')
			  and query not like '%pg_try_advisory_lock%'`).Scan(&left)
		if pg.Code(err) == pg.CodePrivilege {
			return nil
		}
		if err != nil {
			return fmt.Errorf("end what a killed pgleap left running on the %s: %w", side, err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return plan.Fail(plan.KindLocked, "run the same command again when it has ended; see pg_stat_activity",
				"a killed pgleap left %d sessions on the %s that have not ended %s after they were told to", left, side, orphanPatience)
		case <-time.After(lockPoll):
		}
	}
}

// orphanPatience: a session ends at its next check for interrupts.
const orphanPatience = 30 * time.Second

package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

const (
	// One attempt makes the application's writers queue behind ours. A short transaction is over within the
	// first timeout; what takes longer is a deadlock that nobody has noticed yet, or a long transaction, for
	// which the later attempts wait longer.
	firstLockTimeout = 25 * time.Millisecond
	mostLockTimeout  = 300 * time.Millisecond
	// yieldTimeout lets an autovacuum yield by itself where deadlock_timeout (a second by default) may not be set.
	yieldTimeout = 1500 * time.Millisecond
	// breath is how long the application's writers have between two attempts.
	breath = 10 * time.Millisecond
)

// timeoutOf the attempt: doubled with every third.
func timeoutOf(attempt int) time.Duration {
	return min(firstLockTimeout<<min((attempt-1)/3, 8), mostLockTimeout)
}

// open connects every session beforehand: a connection costs more than the whole switch.
func (w *Switch) open(ctx context.Context) (*sessions, error) {
	s := &sessions{}
	var err error
	for _, p := range []**pg.Source{&s.fence, &s.reader, &s.marker, &s.look} {
		if *p, err = w.Connect.OpenSource(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
	s.readers = []*pg.Source{s.reader}
	for len(s.readers) < w.Readers {
		more, err := w.Connect.OpenSource(ctx)
		if err != nil {
			s.close()
			return nil, err
		}
		s.readers = append(s.readers, more)
	}
	for _, p := range []**pg.Target{&s.watch, &s.set} {
		if *p, err = w.Connect.OpenTarget(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
	for _, on := range []*pg.Session{s.fence.Session, s.marker.Session, s.set.Session} { // what they commit is relied on
		if _, err := on.Exec(ctx, "set synchronous_commit = on"); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// prepareTimeout bounds what comes before the locks.
const prepareTimeout = 20 * time.Second

// prepare bounds and warms the sessions. What hangs here would have hung behind the locks: a commit that
// waits for a synchronous standby, say.
func (w *Switch) prepare(ctx context.Context, s *sessions, sequences Sequences) error {
	limited, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	err := w.boundFence(limited, s)
	if err == nil {
		err = w.warm(limited, s, sequences)
	}
	if err == nil {
		err = w.preparePairs(limited, s)
	}
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	var waits string
	if look := s.reader.QueryRow(ctx, `select coalesce(string_agg(format('pid %s waits for %s %s', pid, wait_event_type, wait_event), ', '), 'nothing of ours waits on the source')
		from pg_stat_activity where pid = any ($1::int[]) and wait_event_type is not null and wait_event <> 'ClientRead'`, []int32{int32(s.fence.PID()), int32(s.marker.PID())}).Scan(&waits); look != nil {
		return fmt.Errorf("prepare the switch: not done within %s: %w", prepareTimeout, err)
	}
	return fmt.Errorf("prepare the switch: not done within %s; on the source %s (SyncRep: a synchronous standby does not answer, see synchronous_standby_names): %w", prepareTimeout, waits, err)
}

// warm runs the switch's statements once, on the very sessions that will run them again: cold catalogs cost
// hundreds of milliseconds.
func (w *Switch) warm(ctx context.Context, s *sessions, sequences Sequences) error {
	var there bool
	if err := s.watch.QueryRow(ctx, w.sql(StepDrain), int64(0)).Scan(&there); err != nil {
		return err
	}
	if err := w.rehearse(ctx, s.fence); err != nil {
		return err
	}
	var unused pg.SourceLSN
	if err := s.marker.QueryRow(ctx, w.sql(StepMarker), time.Now().UnixNano(), string(w.Run)).Scan(&unused.LSN); err != nil {
		return err
	}
	if err := w.missingTriggers(ctx, s); err != nil {
		return err
	}
	return sequences.Prepare(ctx)
}

// missingTriggers finds those of the fence that no earlier switch has left, or that somebody has switched off since:
// once made they stay, and the gate alone is closed.
func (w *Switch) missingTriggers(ctx context.Context, s *sessions) error {
	rows, err := s.reader.Query(ctx, `select n.nspname, c.relname, t.tgenabled in ('O', 'A') from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
		where t.tgname = $1 and not t.tgisinternal`, plan.FenceTrigger)
	if err != nil {
		return wrap("look for triggers of an earlier fence", err)
	}
	there := map[string]bool{}
	var off []string
	var table plan.Name
	var enabled bool
	if _, err := pgx.ForEachRow(rows, []any{&table.Schema, &table.Name, &enabled}, func() error {
		there[plan.FenceTriggerOn(table)] = true
		if !enabled {
			off = append(off, "alter table only "+table.String()+" enable trigger "+plan.FenceTrigger)
		}
		return nil
	}); err != nil {
		return wrap("look for triggers of an earlier fence", err)
	}
	s.triggers = append(slices.DeleteFunc(w.statements(StepFence), func(statement string) bool { return there[statement] }), off...)
	return nil
}

// rehearse fills the session's catalogs with every table, under the weakest lock there is.
func (w *Switch) rehearse(ctx context.Context, fence *pg.Source) error {
	_, err := fence.Exec(ctx, `select count(*) from pg_class c, lateral (select pg_relation_filenode(c.oid)) f where c.relkind in ('r', 'p')`)
	return err
}

// lock takes every lock of the plan in one transaction and leaves it open. Against the application's own
// order it can deadlock: the table at which it failed moves to the front, and it is tried again, until the
// context ends.
func (w *Switch) lock(ctx context.Context, s *sessions) (attempts int, ms float64, err error) {
	order := w.statements(StepLock) // what nobody can fence is locked too, and is no table of the run
	victim := w.preferToBeVictim(ctx, s.fence)
	var last []pg.Blocker // a look that the deadline cut knows less than the one before
	for yield := false; ; {
		attempts++
		timeout := timeoutOf(attempts)
		if yield {
			timeout = yieldTimeout
		}
		began := time.Now()
		failed, blockers, err := w.tryLock(ctx, s, order, timeout)
		if err == nil {
			since(began, &ms)
			return attempts, ms, nil
		}
		if len(blockers) == 0 {
			blockers = last
		}
		last = blockers
		if ctx.Err() != nil {
			return attempts, 0, &blockedError{statement: statementAt(order, failed), on: w.Direction.From(), side: plan.Source, direction: w.Direction, blockers: blockers, err: err}
		}
		code := pg.Code(err)
		unsettled := errors.Is(err, errUnsettled)
		if code != pg.CodeDeadlock && code != pg.CodeLockTimeout && !unsettled {
			return attempts, 0, fmt.Errorf("%s: %w", statementAt(order, failed), err)
		}
		if 0 <= failed && failed < len(order) && !w.guarded() { // the guard always comes first
			table := order[failed]
			order = slices.Insert(slices.Delete(order, failed, failed+1), 0, table)
		}
		yield = !victim && slices.ContainsFunc(blockers, func(b pg.Blocker) bool { return b.Autovacuum })
		if code == pg.CodeLockTimeout || unsettled {
			select {
			case <-ctx.Done():
				return attempts, 0, &blockedError{statement: order[0], on: w.Direction.From(), side: plan.Source, direction: w.Direction, blockers: blockers, err: ctx.Err()}
			case <-time.After(breath):
			}
		}
	}
}

// preferToBeVictim lets our session, not the application's, be ended at a deadlock, and an autovacuum yield
// after 5 ms instead of a second. It needs a superuser, or the right to set the parameter (15+).
func (w *Switch) preferToBeVictim(ctx context.Context, fence *pg.Source) bool {
	_, err := fence.Exec(ctx, "set deadlock_timeout = '5ms'")
	return err == nil
}

// tryLock makes one attempt. On a failure it has rolled back, and says which statement failed and who was in the way.
func (w *Switch) tryLock(ctx context.Context, s *sessions, order []string, timeout time.Duration) (failed int, blockers []pg.Blocker, err error) {
	watching, stop := context.WithCancel(ctx)
	seen := make(chan []pg.Blocker, 1)
	go func() { seen <- watchBlockers(watching, s.reader, s.fence.PID()) }()
	head := []string{"begin", fmt.Sprintf("set local lock_timeout = '%dms'", timeout.Milliseconds())}
	n, err := s.fence.ExecEach(ctx, append(head, order...))
	stop()
	blockers = <-seen
	if err == nil && w.guarded() {
		blockers, err = w.settle(ctx, s, timeout)
		n = 0
	}
	if err != nil {
		if lost := s.fence.Rollback(); lost != nil && pg.Code(err) != "" {
			err = fmt.Errorf("give the locks back: %w (after: %s)", lost, err)
		}
		if w.guarded() && n == 0 {
			return unseen, blockers, err
		}
		return max(0, n-len(head)), blockers, err
	}
	return 0, nil, nil
}

// watchBlockers returns the sessions that were last seen in the way of pid. It asks rarely: most attempts
// are over before the first look.
func watchBlockers(ctx context.Context, q pg.Querier, pid uint32) []pg.Blocker {
	var last []pg.Blocker
	tick := time.NewTicker(firstLockTimeout / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
			// The look itself is not cancelled: a cancelled query could end the next one on this session.
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			if now, err := pg.Blockers(look, q, pid); err == nil && len(now) > 0 {
				last = now
			}
			cancel()
		}
	}
}

// unseen stands for the statement that finds writers whom the guard does not see.
const unseen = -1

func statementAt(order []string, i int) string {
	switch {
	case i == unseen:
		return "wait for writers that the guard does not see"
	case i < len(order):
		return order[i]
	}
	return "commit"
}

// blockedError is a lock that was not granted in time, to us or, on the target, to the apply worker.
type blockedError struct {
	statement string
	on        plan.Side // as people know it
	side      plan.Side // in this switch
	direction plan.Direction
	blockers  []pg.Blocker
	err       error
}

// Error names the statement and whoever was in the way.
func (e *blockedError) Error() string {
	text := e.statement + ": not granted in time"
	switch {
	case e.side == plan.Target && errors.Is(e.err, context.DeadlineExceeded):
		text = e.statement + ": the " + string(e.on) + " did not apply it in time"
	case e.side == plan.Target:
		text = e.statement + ": " + e.err.Error()
	}
	for _, b := range e.blockers {
		text += "\n  waits for " + b.String()
	}
	return text
}

// Unwrap returns the deadline, or the server's error.
func (e *blockedError) Unwrap() error {
	if errors.Is(e.err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return e.err
}

func (e *blockedError) fix() string {
	if len(e.blockers) == 0 {
		return e.direction.Words("run pgleap cutover again when the cause is gone")
	}
	return fmt.Sprintf("let that transaction end, or end it on the %s with: select pg_terminate_backend(%d); then run %s again", e.on, e.blockers[0].PID, e.direction.Words("pgleap cutover"))
}

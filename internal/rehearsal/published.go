package rehearsal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pgleap/plan"
)

// lagPoll is how often the published procedure looks at the lag, and lagLimit how long it is given.
const (
	lagPoll  = 200 * time.Millisecond
	lagLimit = time.Minute
)

// byPublished makes the switch as the best-known open tool does it: the roles are made to read only, their sessions ended,
// the lag looked at until all that was sent is replayed, sequences set from the columns that own them, the subscription
// dropped, and then the clients let in. As published, each statement has a connection of its own. It is the baseline: what
// it loses is its own. In its favour the VACUUM ANALYZE of every table is left out, which the tool makes before it drops the
// subscription, and the pooler's console is open beforehand.
func (w *walk) byPublished(ctx context.Context, t *turn, onEvent func(plan.Event)) error {
	letIn := func() error { return nil } // without a pooler the clients' endpoint is turned at the event
	if w.stage.pooler != nil {
		pooler, err := w.stage.openBouncer(ctx)
		if err != nil {
			return err
		}
		defer pooler.close()
		letIn = func() error { return pooler.point(ctx, t.to) }
	}
	t.begun = w.load.record.now()
	begin := time.Now()
	parts := map[string]float64{}
	name := w.stage.Run.Object()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"restrict_ms", func() error { return w.restrict(ctx) }},
		{"lag_ms", func() error { return w.awaitNoLag(ctx, name) }},
		{"sequences_ms", func() error { _, err := alone(ctx, w.stage.Target, setFromColumns); return err }},
		{"drop_ms", func() error {
			_, err := alone(ctx, w.stage.Target, "drop subscription "+plan.QuoteIdent(name))
			return err
		}},
		{"pooler_ms", letIn},
	} {
		start := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("the published procedure, %s: %w", strings.TrimSuffix(step.name, "_ms"), err)
		}
		parts[step.name] = milliseconds(time.Since(start))
	}
	parts["stall_ms"] = milliseconds(time.Since(begin))
	rows, err := alone(ctx, w.stage.Source, "select pg_current_wal_insert_lsn()")
	if err != nil {
		return fmt.Errorf("the published procedure: %w", err)
	}
	onEvent(Released(rows[0][0], parts))
	return nil
}

// alone runs one statement on a connection of its own.
func alone(ctx context.Context, server Server, sql string) ([][]string, error) {
	s, err := server.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Script(ctx, sql)
}

// restrict makes the applications' roles read only and ends their sessions.
func (w *walk) restrict(ctx context.Context) error {
	var sql, names []string
	for _, role := range writerRoles {
		sql = append(sql, fmt.Sprintf("alter role %s set default_transaction_read_only = on", plan.QuoteIdent(role)))
		names = append(names, plan.QuoteLiteral(role))
	}
	if _, err := alone(ctx, w.stage.Source, strings.Join(sql, "; ")); err != nil {
		return err
	}
	_, err := alone(ctx, w.stage.Source, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename in ("+strings.Join(names, ", ")+")")
	return err
}

// awaitNoLag waits until the subscription has replayed all that was sent to it. As published, it first waits, then sees
// that every table is replicated, and then looks.
func (w *walk) awaitNoLag(ctx context.Context, slot string) error {
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	for {
		if !pause(ctx, lagPoll) {
			return ctx.Err()
		}
		copying, err := alone(ctx, w.stage.Target, "select 1 from pg_subscription s join pg_subscription_rel r on r.srsubid = s.oid where r.srsubstate <> 'r' and s.subname = "+plan.QuoteLiteral(slot))
		if err != nil {
			return err
		}
		if len(copying) > 0 {
			continue
		}
		rows, err := alone(ctx, w.stage.Source, `select 1 from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
			where r.sent_lsn = r.replay_lsn and s.slot_name = `+plan.QuoteLiteral(slot))
		if err != nil || len(rows) > 0 {
			return err
		}
	}
}

// setFromColumns sets each sequence that a column owns to the column's largest value.
const setFromColumns = `do $$ declare seq record; begin
	for seq in select quote_ident(n.nspname) || '.' || quote_ident(s.relname) as name, t.oid::regclass as owner, quote_ident(a.attname) as of
		from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
		join pg_class t on t.oid = d.refobjid join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
		where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and n.nspname !~ '^pg_|^pgleap' loop
		execute format('select setval(%L, max(%s)) from %s having max(%2$s) > 0', seq.name, seq.of, seq.owner);
	end loop; end $$`

package rehearsal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// lagPoll is how often the published procedure looks at the lag, and lagLimit how long it is given.
const (
	lagPoll  = 200 * time.Millisecond
	lagLimit = time.Minute
)

// byPublished makes the switch as the documentation of the best-known open tool has it: the roles are made to read
// only, their sessions ended, the lag polled until what was sent is replayed, sequences set from the columns that own
// them, the subscription dropped, and then the clients let in. It is the baseline: what it loses is its own. The VACUUM
// ANALYZE of every table that the tool makes before it drops the subscription is left out, in its favour.
func (w *walk) byPublished(ctx context.Context, t *turn, onEvent func(plan.Event)) error {
	source, err := w.stage.Source.Open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := w.stage.Target.Open(ctx)
	if err != nil {
		return err
	}
	defer target.Close()
	t.begun = w.load.record.now()
	begin := time.Now()
	parts := map[string]float64{}
	name := w.stage.Run.Object()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"restrict_ms", func() error { return restrict(ctx, source) }},
		{"lag_ms", func() error { return awaitNoLag(ctx, source, name) }},
		{"sequences_ms", func() error { return setFromColumns(ctx, target) }},
		{"drop_ms", func() error {
			_, err := target.Script(ctx, "drop subscription "+plan.QuoteIdent(name))
			return err
		}},
		{"pooler_ms", func() error { return w.letIn(ctx, t.to) }},
	} {
		start := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("the published procedure, %s: %w", strings.TrimSuffix(step.name, "_ms"), err)
		}
		parts[step.name] = milliseconds(time.Since(start))
	}
	parts["stall_ms"] = milliseconds(time.Since(begin))
	rows, err := source.Script(ctx, "select pg_current_wal_insert_lsn()")
	if err != nil {
		return fmt.Errorf("the published procedure: %w", err)
	}
	onEvent(Released(rows[0][0], parts))
	return nil
}

// restrict makes the applications' roles read only and ends their sessions.
func restrict(ctx context.Context, source *pg.Session) error {
	var sql, names []string
	for _, role := range writerRoles {
		sql = append(sql, fmt.Sprintf("alter role %s set default_transaction_read_only = on", plan.QuoteIdent(role)))
		names = append(names, plan.QuoteLiteral(role))
	}
	if _, err := source.Script(ctx, strings.Join(sql, "; ")); err != nil {
		return err
	}
	_, err := source.Script(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename in ("+strings.Join(names, ", ")+")")
	return err
}

// awaitNoLag waits until the subscription has replayed all that was sent to it. As published, it first waits and then looks.
func awaitNoLag(ctx context.Context, source *pg.Session, slot string) error {
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	for {
		if !pause(ctx, lagPoll) {
			return ctx.Err()
		}
		rows, err := source.Script(ctx, `select 1 from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
			where r.sent_lsn = r.replay_lsn and s.slot_name = `+plan.QuoteLiteral(slot))
		if err != nil || len(rows) > 0 {
			return err
		}
	}
}

// setFromColumns sets each sequence that a column owns to the column's largest value.
func setFromColumns(ctx context.Context, target *pg.Session) error {
	rows, err := target.Script(ctx, `select quote_literal(quote_ident(n.nspname) || '.' || quote_ident(s.relname)), t.oid::regclass, quote_ident(a.attname)
		from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
		join pg_class t on t.oid = d.refobjid join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
		where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and n.nspname !~ '^pg_|^pgleap'`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := target.Script(ctx, fmt.Sprintf("select setval(%s, max(%s)) from %s having max(%s) > 0", r[0], r[2], r[1], r[2])); err != nil {
			return err
		}
	}
	return nil
}

// letIn makes the pooler lead to the server.
func (w *walk) letIn(ctx context.Context, to Server) error {
	if w.stage.pooler == nil {
		return nil // the clients' endpoint is turned at the event
	}
	p, err := w.stage.openBouncer(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	return p.point(ctx, to)
}

package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// ByHand is a switch as a careful person would type it: lock, marker, fence, sequences, drain, commit. It is
// the floor that the tool's switch is measured against, and the switch of the tests' stand-in for the tool.
// It knows nothing of undo, budgets or resume.
type ByHand struct {
	Source, Target pg.Address // of superusers
	Publication    string
	Subscription   string

	// What a test leaves out, to see whether the rehearsal notices.
	WithoutFence, WithoutSequences, WithoutDrain bool

	source, writer, target *pg.Session
	tables                 []string // to be locked, in that order
	fenced                 []string
	readSequences          string
}

// Prepare opens the sessions, makes the marker's table part of the subscription, and warms what can be
// warmed. It is not part of the floor.
func (b *ByHand) Prepare(ctx context.Context) error {
	for _, open := range []struct {
		to      **pg.Session
		address pg.Address
	}{{&b.source, b.Source}, {&b.writer, b.Source}, {&b.target, b.Target}} {
		s, err := pg.OpenClient(ctx, open.address, pg.Options{Verb: "rehearsal/floor", Settings: quiet})
		if err != nil {
			return err
		}
		*open.to = s
	}
	if err := b.list(ctx); err != nil {
		return err
	}
	if err := b.marker(ctx); err != nil {
		return err
	}
	_, err := b.writer.Script(ctx, b.readSequences)
	return err
}

// Close ends the sessions.
func (b *ByHand) Close() {
	for _, s := range []*pg.Session{b.source, b.writer, b.target} {
		if s != nil {
			s.Close()
		}
	}
}

// list finds the tables and makes the statement that reads the sequences.
func (b *ByHand) list(ctx context.Context) error {
	rows, err := b.source.Script(ctx, `select quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind
		from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap', 'rehearsal_floor') order by 1`)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	for _, r := range rows {
		b.fenced = append(b.fenced, r[0])
		if r[1] == "r" { // a root is locked with its first leaf's trigger; its rows are in its leaves
			b.tables = append(b.tables, r[0])
		}
	}
	rows, err = b.source.Script(ctx, `select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
		from pg_catalog.pg_sequence s join pg_catalog.pg_class c on c.oid = s.seqrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname not in ('pgleap', 'rehearsal_floor')`)
	if err != nil {
		return fmt.Errorf("list the sequences: %w", err)
	}
	var selects []string
	for _, r := range rows {
		selects = append(selects, fmt.Sprintf("select %s, last_value, is_called from %s", plan.QuoteLiteral(r[0]), r[0]))
	}
	b.readSequences = strings.Join(selects, " union all ")
	return nil
}

// marker makes the table whose one row tells that everything before it has arrived.
func (b *ByHand) marker(ctx context.Context) error {
	const table = "create schema if not exists rehearsal_floor; create table if not exists rehearsal_floor.marker (id bigint primary key)"
	if _, err := b.target.Script(ctx, table); err != nil {
		return fmt.Errorf("make the marker's table: %w", err)
	}
	if _, err := b.source.Script(ctx, table+fmt.Sprintf("; alter publication %s add table rehearsal_floor.marker", plan.QuoteIdent(b.Publication))); err != nil {
		return fmt.Errorf("make the marker's table: %w", err)
	}
	if _, err := b.target.Script(ctx, fmt.Sprintf("alter subscription %s refresh publication with (copy_data = false)", plan.QuoteIdent(b.Subscription))); err != nil {
		return fmt.Errorf("make the marker's table: %w", err)
	}
	_, err := b.target.Script(ctx, fmt.Sprintf("alter subscription %s set (synchronous_commit = on)", plan.QuoteIdent(b.Subscription)))
	return err
}

// Switch is the floor. It returns the parts as the tool names them, and the fence LSN. The caller lets the
// clients go to the target at once.
func (b *ByHand) Switch(ctx context.Context) (fence string, parts map[string]float64, err error) {
	return b.run(ctx, "commit")
}

// Rehearse does the same and takes it back: the clients stay where they are.
func (b *ByHand) Rehearse(ctx context.Context) (parts map[string]float64, err error) {
	_, parts, err = b.run(ctx, "rollback")
	return parts, err
}

func (b *ByHand) run(ctx context.Context, end string) (fence string, parts map[string]float64, err error) {
	begin, err := b.lock(ctx)
	if err != nil {
		return "", nil, err
	}
	parts, last := map[string]float64{}, begin
	lap := func(name string) {
		parts[name] = milliseconds(time.Since(last))
		last = time.Now()
	}
	lap("lock_ms")
	id, fence, err := b.mark(ctx)
	if err != nil {
		return "", nil, err
	}
	lap("marker_ms")
	if !b.WithoutFence {
		if _, err := b.source.Script(ctx, b.fenceSQL()); err != nil {
			return "", nil, fmt.Errorf("make the fence: %w", err)
		}
	}
	lap("triggers_ms")
	if !b.WithoutSequences {
		if err := b.sequences(ctx); err != nil {
			return "", nil, err
		}
	}
	lap("sequences_ms")
	if err := b.drain(ctx, id); err != nil {
		return "", nil, err
	}
	lap("drain_ms")
	if _, err := b.source.Script(ctx, end); err != nil {
		return "", nil, fmt.Errorf("%s the fence: %w", end, err)
	}
	lap(end + "_ms")
	parts["stall_ms"] = milliseconds(time.Since(begin))
	return fence, parts, nil
}

// mark writes the marker behind the locks. The fence LSN lies behind it.
func (b *ByHand) mark(ctx context.Context) (id, fence string, err error) {
	rows, err := b.writer.Script(ctx, `insert into rehearsal_floor.marker (id) select coalesce(max(id), 0) + 1 from rehearsal_floor.marker returning id`)
	if err != nil {
		return "", "", fmt.Errorf("write the marker: %w", err)
	}
	id = rows[0][0]
	if rows, err = b.writer.Script(ctx, "select pg_current_wal_insert_lsn()"); err != nil {
		return "", "", fmt.Errorf("read the fence LSN: %w", err)
	}
	return id, rows[0][0], nil
}

// lock gets all the locks; the table at which it failed comes first the next time.
func (b *ByHand) lock(ctx context.Context) (begin time.Time, err error) {
	for range 50 {
		begin = time.Now()
		sql := "begin; set local deadlock_timeout = '5ms'; set local lock_timeout = '300ms'"
		if _, err := b.source.Script(ctx, sql); err != nil {
			return begin, fmt.Errorf("lock the tables: %w", err)
		}
		var locks []string
		for _, t := range b.tables {
			locks = append(locks, "lock table only "+t+" in share row exclusive mode")
		}
		var failed int // all in one round trip
		if failed, err = b.source.ExecEach(ctx, locks); err == nil {
			return begin, nil
		}
		b.source.Rollback()
		if c := pg.Code(err); c != pg.CodeDeadlock && c != pg.CodeLockTimeout {
			return begin, fmt.Errorf("lock the tables: %w", err)
		}
		t := b.tables[failed]
		b.tables = slices.Insert(slices.Delete(b.tables, failed, failed+1), 0, t)
	}
	return begin, fmt.Errorf("lock the tables: %w", err)
}

// fenceSQL makes the fence's function and a trigger on every table, in one round trip.
func (b *ByHand) fenceSQL() string {
	var s strings.Builder
	s.WriteString(`create function rehearsal_floor.fence() returns trigger language plpgsql as
		$$ begin raise exception 'this database has moved (pgleap)' using errcode = '25006'; end $$`)
	for _, t := range b.fenced {
		fmt.Fprintf(&s, "; create trigger zz_pgleap_fence before insert or update or delete or truncate on %s for each statement execute procedure rehearsal_floor.fence()", t)
	}
	return s.String()
}

// sequences reads all and sets all: two round trips.
func (b *ByHand) sequences(ctx context.Context) error {
	rows, err := b.writer.Script(ctx, b.readSequences)
	if err != nil {
		return fmt.Errorf("read the sequences: %w", err)
	}
	var sets []string
	for _, r := range rows {
		sets = append(sets, fmt.Sprintf("setval(%s, %s, %t)", plan.QuoteLiteral(r[0]), r[1], r[2] == "t"))
	}
	// At most 1664 columns in a row.
	for chunk := range slices.Chunk(sets, 1000) {
		if _, err := b.target.Script(ctx, "select "+strings.Join(chunk, ", ")); err != nil {
			return fmt.Errorf("set the sequences: %w", err)
		}
	}
	return nil
}

// drain waits until the marker is on the target.
func (b *ByHand) drain(ctx context.Context, id string) error {
	for !b.WithoutDrain {
		rows, err := b.target.Script(ctx, "select 1 from rehearsal_floor.marker where id = "+id)
		if err != nil {
			return fmt.Errorf("wait for the marker: %w", err)
		}
		if len(rows) == 1 {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Remove takes back what Prepare made, as far as others would stumble over it.
func (b *ByHand) Remove(ctx context.Context) error {
	const schema = "drop schema rehearsal_floor cascade"
	if _, err := b.source.Script(ctx, fmt.Sprintf("alter publication %s drop table rehearsal_floor.marker; %s", plan.QuoteIdent(b.Publication), schema)); err != nil {
		return fmt.Errorf("drop the marker's table: %w", err)
	}
	if _, err := b.target.Script(ctx, fmt.Sprintf("alter subscription %s refresh publication with (copy_data = false)", plan.QuoteIdent(b.Subscription))); err != nil {
		return fmt.Errorf("drop the marker's table: %w", err)
	}
	if _, err := b.target.Script(ctx, schema); err != nil {
		return fmt.Errorf("drop the marker's table: %w", err)
	}
	return nil
}

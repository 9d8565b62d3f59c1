package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// CallStream copies the rows through this machine, at the snapshot that the slot's creation exports.
const CallStream = "stream-copy"

// StepStream copies the rows, and makes the slot that what was written since comes from.
const StepStream plan.StepID = "subscribe.stream"

// StepEnable lets the subscription begin.
const StepEnable plan.StepID = "subscribe.enable"

// Connector opens the sessions of a copy.
type Connector interface {
	OpenSource(ctx context.Context) (*pg.Source, error)
	OpenTarget(ctx context.Context) (*pg.Target, error)
}

// Streams is a copy of all published tables in many streams, each pinned to one snapshot. What the slot gives afterwards
// is exactly what that snapshot does not show.
type Streams struct {
	Connect     Connector
	Run         plan.RunID
	Tables      []plan.Relation
	Jobs        int           // streams at a time; 0: as many as the source's processors and clients allow
	Processors  int           // of the source; 0 is not known
	PartBytes   int64         // how much of a table a stream takes at a time, where tables can be split; 0: partBytes, or a table in one go where that is as quick
	SlotTimeout time.Duration // how long the slot's creation may wait
	Step        plan.Step
	Emit        func(plan.Event)
	Loaded      func(table plan.Name) // told of each table whose rows are there
	Point       func(name string)
	Throttle    *Throttle // shared by all streams; nil: none
	// Watched does what may have to wait on the sessions for somebody's lock, and says meanwhile for whose; nil is no session.
	Watched func(ctx context.Context, from *pg.Source, to *pg.Target, f func() error) error

	begun, copied sync.Once
}

// Do makes the slot and copies everything. One that was cut short left a slot whose snapshot is lost: it begins anew, and
// never adds to what the other has copied.
func (s *Streams) Do(ctx context.Context, source *pg.Source) error {
	if err := DropSlot(ctx, source, s.Run, DropSlotStatement(s.Run)); err != nil {
		return err
	}
	if err := s.empty(ctx); err != nil {
		return err
	}
	files, err := readFiles(ctx, source, s.Tables)
	if err != nil {
		return err
	}
	holder, snapshot, err := s.slot(ctx, source)
	if err != nil {
		return err
	}
	defer holder.Close()
	if err := s.planned(ctx, holder); err != nil {
		return err
	}
	s.Point(string(s.Step.ID) + ".slot")
	return s.copy(ctx, source, snapshot, files)
}

// empty truncates what an earlier attempt has copied. A table that never held a row is left as it is: each that is truncated
// gets new files.
func (s *Streams) empty(ctx context.Context) error {
	t, err := s.Connect.OpenTarget(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	var sizes map[plan.Name]size
	if err := s.Watched(ctx, nil, t, func() (err error) { // what a killed attempt left locks whole tables
		sizes, err = readSizes(ctx, t, s.Tables)
		return err
	}); err != nil {
		return err
	}
	var names []string
	for _, r := range s.Tables {
		if sizes[r.Name].pages > 0 {
			names = append(names, "only "+r.Name.String())
		}
	}
	for chunk := range slices.Chunk(names, 500) {
		if err := s.Watched(ctx, nil, t, func() error {
			_, err := t.Exec(ctx, "truncate "+strings.Join(chunk, ", "))
			return err
		}); err != nil {
			return fmt.Errorf("empty the tables of the target: %w", err)
		}
	}
	return nil
}

// DropIndexes drops every index and constraint index of the tables.
func DropIndexes(ctx context.Context, t *pg.Target, tables []plan.Name) error {
	schemas, names := split(tables)
	rows, err := t.Query(ctx, `select case when o.oid is null then format('drop index %I.%I', n.nspname, x.relname)
  else format('alter table only %I.%I drop constraint %I', n.nspname, c.relname, o.conname) end
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_constraint o on o.conindid = i.indexrelid and o.conrelid = i.indrelid and o.contype in ('p', 'u', 'x')
where (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`, schemas, names)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	_, err = t.ExecEach(ctx, statements)
	return err
}

func split(tables []plan.Name) (schemas, names []string) {
	for _, n := range tables {
		schemas, names = append(schemas, n.Schema), append(names, n.Name)
	}
	return schemas, names
}

// size of a table as it is now.
type size struct{ pages, bytes int64 } // of the heap alone; with TOAST

func readSizes(ctx context.Context, q pg.Querier, tables []plan.Relation) (map[plan.Name]size, error) {
	return readEach(ctx, q, tables, "the sizes of the tables", "pg_relation_size(c.oid) / current_setting('block_size')::int8, coalesce(pg_table_size(c.oid), 0)",
		func(s *size) []any { return []any{&s.pages, &s.bytes} })
}

// readEach reads the columns, of pg_class c, of each table that is there; fields are where a row's values go.
func readEach[T any](ctx context.Context, q pg.Querier, tables []plan.Relation, what, columns string, fields func(*T) []any) (map[plan.Name]T, error) {
	list := make([]plan.Name, len(tables))
	for i, r := range tables {
		list[i] = r.Name
	}
	schemas, names := split(list)
	rows, err := q.Query(ctx, "select n.nspname, c.relname, "+columns+`
from pg_class c join pg_namespace n on n.oid = c.relnamespace where (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	each := map[plan.Name]T{}
	var n plan.Name
	var one T
	_, err = pgx.ForEachRow(rows, append([]any{&n.Schema, &n.Name}, fields(&one)...), func() error {
		each[n] = one
		return nil
	})
	return each, err
}

// slot makes the slot, and returns a session that holds its snapshot: the walsender's own dies with its next command.
func (s *Streams) slot(ctx context.Context, source *pg.Source) (holder *pg.Source, snapshot string, err error) {
	if holder, err = s.Connect.OpenSource(ctx); err != nil {
		return nil, "", err
	}
	err = createSlot(ctx, source, s.Step.Do.SQL, s.SlotTimeout, s.Step, s.Emit, func(exported string) error {
		if _, err := holder.ExecEach(ctx, pin(exported)); err != nil {
			return fmt.Errorf("take over snapshot %s: %w", exported, err)
		}
		return holder.QueryRow(ctx, "select pg_export_snapshot()").Scan(&snapshot)
	})
	if err != nil {
		holder.Close()
		return nil, "", err
	}
	return holder, snapshot, nil
}

// planned refuses tables that have other columns at the snapshot than in the plan, which says what is copied: what a column
// holds that came in between would be in no copy, and the slot does not give it.
func (s *Streams) planned(ctx context.Context, holder *pg.Source) error {
	now, err := readEach(ctx, holder, s.Tables, "the columns of the tables", `coalesce((select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '')`, func(columns *string) []any { return []any{columns} })
	if err != nil {
		return err
	}
	for _, r := range s.Tables {
		var planned []string
		for _, c := range r.Columns {
			planned = append(planned, c.Name+" "+c.Type)
		}
		if was := strings.Join(planned, ", "); now[r.Name] != was {
			return plan.Fail(plan.KindDrift, "pgleap abort, then pgleap sync", "the columns of table %s are not those of the plan: they were (%s), and are (%s)", plan.OneLine(r.Name.String()), plan.OneLine(was), plan.OneLine(now[r.Name]))
		}
	}
	return nil
}

// pin are the statements that begin a transaction that sees what the snapshot shows.
func pin(snapshot string) []string {
	return []string{"begin isolation level repeatable read read only", "set transaction snapshot " + plan.QuoteLiteral(snapshot)}
}

// streamAttempts is how often a part is copied at most, within the snapshot.
const streamAttempts = 3

func (s *Streams) copy(ctx context.Context, source *pg.Source, snapshot string, files map[plan.Name]file) error {
	jobs, err := s.jobs(ctx, source)
	if err != nil {
		return err
	}
	parts, err := s.parts(ctx, source, jobs)
	if err != nil {
		return err
	}
	work := &streamWork{parts: make(chan part, len(parts)), open: map[plan.Name]int{}, of: len(parts), files: files}
	for _, p := range parts {
		work.parts <- p
		work.open[p.table.Name]++
		work.total += p.bytes
	}
	close(work.parts)
	over, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		s.tell(work, over)
	}()
	group, inner := errgroup.WithContext(ctx)
	for range min(jobs, max(len(parts), 1)) {
		group.Go(func() error {
			w := &stream{Streams: s, work: work, snapshot: snapshot}
			defer w.close()
			for p := range work.parts {
				if err := w.carry(inner, p); err != nil {
					return err
				}
				if work.last(p) {
					if err := w.complete(inner, p); err != nil {
						return err
					}
					s.Loaded(p.table.Name)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	close(over)
	<-told
	return err
}

// streamWork is what the streams share.
type streamWork struct {
	parts chan part
	of    int   // parts in all
	total int64 // bytes in all, of the source's tables
	files map[plan.Name]file
	bytes atomic.Int64 // read so far

	mu   sync.Mutex
	open map[plan.Name]int // parts that are not there yet
	done int               // parts
}

// last notes a part that is there, and tells whether it was the last of its table.
func (work *streamWork) last(p part) bool {
	work.mu.Lock()
	defer work.mu.Unlock()
	work.done++
	work.open[p.table.Name]--
	if work.open[p.table.Name] > 0 {
		return false
	}
	delete(work.open, p.table.Name)
	return true
}

// tell says how far the copy is, until it is over.
func (s *Streams) tell(work *streamWork, over <-chan struct{}) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		work.mu.Lock()
		done, tables := work.done, len(s.Tables)-len(work.open)
		work.mu.Unlock()
		s.Emit(plan.Event{
			Kind: plan.EventProgress, Step: s.Step.ID, Bytes: work.bytes.Load(), Total: work.total,
			Data: map[string]any{"tables_ready": tables, "tables": len(s.Tables), "parts_done": done, "parts": work.of},
		})
	}
}

// stream is one of them: a session on each side.
type stream struct {
	*Streams
	work     *streamWork
	snapshot string
	from     *pg.Source
	to       *pg.Target
}

func (w *stream) close() {
	if w.from != nil {
		w.from.Close()
	}
	if w.to != nil {
		w.to.Close()
	}
	w.from, w.to = nil, nil
}

func (w *stream) open(ctx context.Context) (err error) {
	if w.from != nil {
		return nil
	}
	if w.from, err = w.Connect.OpenSource(ctx); err != nil {
		return err
	}
	if _, err = w.from.Exec(ctx, streamSettings); err != nil {
		return err
	}
	if w.to, err = w.Connect.OpenTarget(ctx); err != nil {
		return err
	}
	// What is copied is on disk when the step's record is: that commit is a synchronous one.
	_, err = w.to.Exec(ctx, streamSettings+"; set synchronous_commit = off")
	return err
}

// streamSettings let both sides read and write every value alike, and row security hide nothing in silence.
const streamSettings = "set lc_monetary = 'C'; set bytea_output = 'hex'; set xmloption = 'content'; set row_security = off"

// lostSnapshotError is after what the copy cannot go on at its snapshot: the slot has to be made anew.
type lostSnapshotError struct {
	what string
	err  error
}

func (e *lostSnapshotError) Error() string { return e.what + ": " + e.err.Error() }
func (e *lostSnapshotError) Unwrap() error { return e.err }

// SnapshotLost tells whether the copy has ended because it cannot go on at its snapshot.
func SnapshotLost(err error) bool {
	var lost *lostSnapshotError
	return errors.As(err, &lost)
}

// pinned begins the part's transaction on the source, with the lock that the COPY needs.
func (w *stream) pinned(ctx context.Context, p part) error {
	statements := pin(w.snapshot)
	done, err := w.from.ExecEach(ctx, append(statements, "lock table only "+p.table.Name.String()+" in access share mode"))
	if err != nil && done < len(statements) {
		return &lostSnapshotError{"the snapshot of the copy is lost", err}
	}
	return err
}

// carry copies a part, in one transaction on the target: what was cut short has left nothing.
func (w *stream) carry(ctx context.Context, p part) error {
	read, write := p.statements()
	for attempt := 1; ; attempt++ {
		var counted int64 // of the part's bytes: what travels can be more, or less
		err := w.open(ctx)
		var transaction string
		if err == nil {
			err = w.Watched(ctx, w.from, w.to, func() (err error) { // both take their locks here
				if err = w.pinned(ctx, p); err == nil {
					transaction, err = w.begin(ctx, p)
				}
				return err
			})
		}
		if err == nil {
			w.begun.Do(func() { w.Point(string(w.Step.ID) + ".part") })
			_, _, err = pg.Pipe(ctx, w.from, w.to, read, write, func(ctx context.Context, n int) error {
				more := min(int64(n), p.bytes-counted)
				counted += more
				w.work.bytes.Add(more)
				return w.Throttle.Take(ctx, n)
			})
		}
		if err == nil {
			w.copied.Do(func() { w.Point(string(w.Step.ID) + ".copied") })
			err = w.commit(ctx, transaction)
		}
		if err == nil {
			w.work.bytes.Add(p.bytes - counted)
			// The lock on the table goes with the transaction, or with the session. The rows are there: whatever becomes of
			// this one, a second attempt would double them.
			if w.from != nil {
				if _, err := w.from.Exec(ctx, "commit"); err != nil && ctx.Err() == nil {
					w.close()
					w.Emit(plan.Event{Kind: plan.EventNote, Step: w.Step.ID, Message: fmt.Sprintf("the session on the source was lost when %s was there; another one goes on: %v", plan.OneLine(p.table.Name.String()), err)})
				}
			}
			return ctx.Err()
		}
		w.work.bytes.Add(-counted)
		w.close()
		var unknown *unknownCommitError
		if errors.As(err, &unknown) && ctx.Err() == nil && !p.frozen() { // one that is, is emptied first
			return &lostSnapshotError{"copy " + p.table.Name.String(), err}
		}
		if ctx.Err() != nil || SnapshotLost(err) && attempt > 1 || attempt == streamAttempts || pg.Code(err) != "" && !pg.ConnectionLost(err) {
			return fmt.Errorf("copy %s: %w", p.table.Name, err)
		}
		w.Emit(plan.Event{Kind: plan.EventNote, Step: w.Step.ID, Message: fmt.Sprintf("copying %s was cut short, tried again within the same snapshot: %v", plan.OneLine(p.table.Name.String()), err)})
	}
}

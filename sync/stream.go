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

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// CallStream copies the rows through this machine, at the snapshot that the slot's creation exports.
const CallStream = "stream-copy"

// StepStream copies the rows, and makes the slot that what was written since comes from.
const StepStream plan.StepID = "subscribe.stream"

// StepEnable lets the subscription begin.
const StepEnable plan.StepID = "subscribe.enable"

// StreamJobs is how many streams there are at a time where nothing is said.
const StreamJobs = 4

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
	Jobs        int           // streams at a time
	PartBytes   int64         // how much of a table a stream takes at a time, where tables can be split; 0: partBytes
	SlotTimeout time.Duration // how long the slot's creation may wait
	Step        plan.Step
	Emit        func(plan.Event)
	Point       func(name string)
	Throttle    *Throttle // shared by all streams; nil: none

	begun sync.Once
	done  atomic.Int64 // bytes of the source's heap that were read
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
	holder, snapshot, err := s.slot(ctx, source)
	if err != nil {
		return err
	}
	defer holder.Close()
	s.Point(string(s.Step.ID) + ".slot")
	return s.copy(ctx, source, snapshot)
}

// empty truncates what an earlier attempt has copied.
func (s *Streams) empty(ctx context.Context) error {
	t, err := s.Connect.OpenTarget(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	for chunk := range slices.Chunk(s.Tables, 500) {
		names := make([]string, len(chunk))
		for i, r := range chunk {
			names[i] = "only " + r.Name.String()
		}
		if _, err := t.Exec(ctx, "truncate "+strings.Join(names, ", ")); err != nil {
			return fmt.Errorf("empty the tables of the target: %w", err)
		}
	}
	return nil
}

// slot makes the slot, and returns a session that holds its snapshot: the walsender's own dies with its next command.
func (s *Streams) slot(ctx context.Context, source *pg.Source) (holder *pg.Source, snapshot string, err error) {
	if holder, err = s.Connect.OpenSource(ctx); err != nil {
		return nil, "", err
	}
	err = createSlot(ctx, source, s.Step.Do.SQL, s.SlotTimeout, s.Step, s.Emit, func(exported string) error {
		if err := pin(ctx, holder, exported); err != nil {
			return err
		}
		return holder.QueryRow(ctx, "select pg_export_snapshot()").Scan(&snapshot)
	})
	if err != nil {
		holder.Close()
		return nil, "", err
	}
	return holder, snapshot, nil
}

// pin begins a transaction that sees what the snapshot shows.
func pin(ctx context.Context, s *pg.Source, snapshot string) error {
	sql := []string{"begin isolation level repeatable read read only", "set transaction snapshot " + plan.QuoteLiteral(snapshot)}
	if s.Version().Has(pgver.TransactionTimeout) {
		sql = slices.Insert(sql, 0, "set transaction_timeout = 0")
	}
	for _, statement := range sql {
		if _, err := s.Exec(ctx, statement); err != nil {
			return fmt.Errorf("take over snapshot %s: %w", snapshot, err)
		}
	}
	return nil
}

// part is a table, or a range of its pages.
type part struct {
	table    plan.Relation
	from, to int64 // pages; to is 0 for the rest
	bytes    int64
}

const partBytes = 64 << 20

// parts are what the streams take, the largest first. From 14 on a range of ctid reads its own pages alone; before, each
// would read the whole table.
func (s *Streams) parts(ctx context.Context, source *pg.Source) ([]part, error) {
	most := s.PartBytes
	if most <= 0 {
		most = partBytes
	}
	var all []part
	for _, r := range s.Tables {
		pages := int64(0)
		if source.Version().Has(pgver.TidRangeScan) && r.Bytes > most {
			if err := source.QueryRow(ctx, "select pg_relation_size($1::text::regclass) / current_setting('block_size')::int8", r.Name.String()).Scan(&pages); err != nil {
				return nil, fmt.Errorf("read the size of %s: %w", r.Name, err)
			}
		}
		n := max(1, min((r.Bytes+most-1)/most, pages))
		for i := range n {
			p := part{table: r, from: pages * i / n, to: pages * (i + 1) / n, bytes: max(1, r.Bytes/n)}
			if i == n-1 {
				p.to = 0
			}
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b part) int { return int(min(max(b.bytes-a.bytes, -1), 1)) })
	return all, nil
}

// statements are what reads the part on the source, and what writes it on the target.
func (p part) statements() (read, write string) {
	var columns []string
	binary := true
	for _, c := range p.table.Columns {
		if c.Generated != "" {
			continue
		}
		columns = append(columns, plan.QuoteIdent(c.Name))
		binary = binary && binarySafe(c.Type)
	}
	format := ""
	if binary {
		format = " with (format binary)"
	}
	list := strings.Join(columns, ", ")
	where := ""
	if p.from > 0 || p.to > 0 {
		where = fmt.Sprintf(" where ctid >= '(%d,0)'", p.from)
		if p.to > 0 {
			where += fmt.Sprintf(" and ctid < '(%d,0)'", p.to)
		}
	}
	read = fmt.Sprintf("copy (select %s from only %s%s) to stdout%s", list, p.table.Name, where, format)
	if where == "" && len(columns) > 0 && p.table.Kind == "r" {
		read = fmt.Sprintf("copy %s (%s) to stdout%s", p.table.Name, list, format)
	}
	if len(columns) == 0 { // rows without a column
		return fmt.Sprintf("copy (select from only %s%s) to stdout", p.table.Name, where), fmt.Sprintf("copy %s from stdin", p.table.Name)
	}
	return read, fmt.Sprintf("copy %s (%s) from stdin%s", p.table.Name, list, format)
}

// attempts is how often a part is copied at most, within the snapshot.
const streamAttempts = 3

func (s *Streams) copy(ctx context.Context, source *pg.Source, snapshot string) error {
	parts, err := s.parts(ctx, source)
	if err != nil {
		return err
	}
	var total int64
	for _, p := range parts {
		total += p.bytes
	}
	queue := make(chan part, len(parts))
	for _, p := range parts {
		queue <- p
	}
	close(queue)
	var finished atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	for range min(max(s.Jobs, 1), max(len(parts), 1)) {
		group.Go(func() error {
			w := &stream{Streams: s, snapshot: snapshot}
			defer w.close()
			for p := range queue {
				if err := w.carry(inner, p); err != nil {
					return err
				}
				s.done.Add(p.bytes)
				finished.Add(1)
			}
			return nil
		})
	}
	over := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		tick := time.NewTicker(poll)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				s.Emit(plan.Event{Kind: plan.EventProgress, Step: s.Step.ID, Bytes: s.done.Load(), Total: total, Data: map[string]any{"parts_done": finished.Load(), "parts": len(parts)}})
			}
		}
	}()
	err = group.Wait()
	close(over)
	<-told
	return err
}

// stream is one of them: a session on each side.
type stream struct {
	*Streams
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
	if err = pin(ctx, w.from, w.snapshot); err != nil {
		return &lostSnapshotError{err}
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

// lostSnapshotError is what nothing can be copied with any more: the slot has to be made anew.
type lostSnapshotError struct{ err error }

func (e *lostSnapshotError) Error() string {
	return "the snapshot of the copy is lost: " + e.err.Error()
}
func (e *lostSnapshotError) Unwrap() error { return e.err }

// carry copies a part. A COPY is one transaction: what was cut short has left nothing.
func (w *stream) carry(ctx context.Context, p part) error {
	read, write := p.statements()
	for attempt := 1; ; attempt++ {
		err := w.open(ctx)
		if err == nil {
			w.begun.Do(func() { w.Point(string(w.Step.ID) + ".part") })
			_, _, err = pg.PipeMetered(ctx, w.from, w.to, read, write, w.Throttle.Take)
		}
		if err == nil {
			return nil
		}
		w.close()
		var lost *lostSnapshotError
		if ctx.Err() != nil || errors.As(err, &lost) && attempt > 1 || attempt == streamAttempts || pg.Code(err) != "" && !pg.ConnectionLost(err) {
			return fmt.Errorf("copy %s: %w", p.table.Name, err)
		}
		w.Emit(plan.Event{Kind: plan.EventNote, Step: w.Step.ID, Message: fmt.Sprintf("copying %s was cut short, tried again within the same snapshot: %v", plan.OneLine(p.table.Name.String()), err)})
	}
}

package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
	pgsync "pgleap/sync"
)

// early counts the first steps that wait for nothing but the rows of their table.
func early(steps []plan.Step) (n int) {
	for n < len(steps) && steps[n].Early {
		n++
	}
	return n
}

// loadTables copies the rows by the step copying, and does beside it what can be done with a table as soon as its rows are
// there. A copy whose snapshot is lost begins anew.
func (r *run) loadTables(ctx context.Context, stage plan.Stage, copying plan.Step, steps []plan.Step, recorded map[plan.StepID]bool) error {
	for attempt := 1; ; attempt++ {
		err := r.loadOnce(ctx, stage, copying, steps, recorded)
		if err == nil || !pgsync.SnapshotLost(err) || ctx.Err() != nil || attempt == snapshots || !r.source.Alive() || !r.target.Alive() {
			return err
		}
		r.emit(plan.Event{Kind: plan.EventNote, Stage: stage.ID, Step: copying.ID, Message: "the copy begins anew, with another snapshot: " + err.Error()})
		if recorded, err = r.journal.Steps(ctx); err != nil {
			return err
		}
	}
}

// snapshots is how many a copy may lose.
const snapshots = 3

func (r *run) loadOnce(ctx context.Context, stage plan.Stage, copying plan.Step, steps []plan.Step, recorded map[plan.StepID]bool) error {
	if copying.Do.Call == pgsync.CallStream && !recorded[copying.ID] {
		if _, err := r.watched(ctx, copying.ID, func() error { return r.loadAnew(ctx, stage, steps, recorded) }); err != nil {
			return err
		}
	}
	left := func(s plan.Step) bool { return !recorded[s.ID] }
	if keys := keysOf(steps); slices.ContainsFunc(keys, left) {
		open := func(ctx context.Context) (*pg.Target, error) { return r.openLoader(ctx, stage) }
		if err := pgsync.KeepKeys(ctx, open, plan.SyncWorkers(r.plan.Target), r.lanes, keys); err != nil {
			return err
		}
	}
	l := newLoading(steps, recorded, r.indexBytes())
	l.loaders = min(max(r.Options.Jobs, 1), l.total)
	r.loading = l
	defer func() { r.loading = nil }()
	group, inner := errgroup.WithContext(ctx)
	defer context.AfterFunc(inner, l.stop)()
	group.Go(func() error {
		if err := r.step(inner, r.target, stage, copying, recorded); err != nil {
			return err
		}
		l.everything()
		return nil
	})
	for range l.loaders {
		group.Go(func() error { return r.loader(inner, stage, l, recorded) })
	}
	return group.Wait()
}

// loader does steps of a loading, on a session of its own.
func (r *run) loader(ctx context.Context, stage plan.Stage, l *loading, recorded map[plan.StepID]bool) error {
	t, err := r.openLoader(ctx, stage)
	if err != nil {
		return err
	}
	defer t.Close()
	settings := ""
	for {
		steps, busy := l.next()
		if len(steps) == 0 {
			return ctx.Err()
		}
		if s := steps[0]; s.Batch == schema.BatchIndexes && s.Weight > smallTable {
			if wanted := buildSettings(r.plan.Target, busy, s); wanted != settings {
				if _, err := t.Script(ctx, wanted); err != nil {
					return fmt.Errorf("set up a session on the target: %w", err)
				}
				settings = wanted
			}
		}
		if len(steps) == 1 || !r.together(ctx, t, stage, steps) {
			for _, s := range steps {
				if err := r.step(ctx, t, stage, s, recorded); err != nil {
					return err
				}
			}
		}
		if e, over := l.finished(steps); over { // the copy itself tells nothing any more
			e.Stage, e.Message = stage.ID, steps[0].Title
			r.emit(e)
		}
	}
}

// together does steps over small tables in one transaction and one round trip, with their records: of thousands, round
// trips and commits would cost more than the work. When one of them fails none is done, and each is tried by itself, which
// names the one at fault.
func (r *run) together(ctx context.Context, t *pg.Target, stage plan.Stage, steps []plan.Step) bool {
	var all []string
	for _, s := range steps {
		r.point(string(s.ID) + ".before")
		all = append(all, schema.Statements(s)...)
		all = append(all, journal.RecordStatement(stage.ID, s.ID))
	}
	started := time.Now()
	if _, err := t.ExecEach(ctx, all); err != nil {
		return false
	}
	each := time.Since(started) / time.Duration(len(steps))
	for _, s := range steps {
		r.done(stage, s, time.Now().Add(-each))
	}
	return true
}

// loadAnew takes back what an earlier attempt has built over rows of a snapshot that is lost: a copy into a table without
// indexes is several times faster.
func (r *run) loadAnew(ctx context.Context, stage plan.Stage, steps []plan.Step, recorded map[plan.StepID]bool) error {
	done := slices.DeleteFunc(slices.Clone(steps), func(s plan.Step) bool { return !recorded[s.ID] })
	var tables []plan.Name
	for _, s := range done {
		tables = append(tables, *s.Table)
	}
	for chunk := range slices.Chunk(done, 100) {
		err := r.target.InTransaction(ctx, func() error {
			for _, s := range chunk {
				if err := journal.RecordOn(ctx, r.target, journal.StepAnew, stage.ID, s.ID, nil); err != nil {
					return err
				}
			}
			return pgsync.DropIndexes(ctx, r.target, tables[:len(chunk)])
		})
		if err != nil {
			return fmt.Errorf("take back the indexes of a copy that begins anew: %w", err)
		}
		tables = tables[len(chunk):]
	}
	for _, s := range done {
		delete(recorded, s.ID)
	}
	return nil
}

// loading hands out the early steps: each when its table's rows are there and the table's earlier batches are done, the
// heaviest first.
type loading struct {
	mu     sync.Mutex
	change *sync.Cond
	tables map[plan.Name]*loadingTable
	ready  []plan.Step // sorted, the heaviest last
	total  int         // steps
	done   int
	doing  int // loaders that have one in hand

	loaders int  // sessions
	over    bool // nothing more is handed out
	copied  bool // all rows are there

	copy    plan.Event // the last that the copy told
	bytes   int64      // of the source's indexes that are built
	ofBytes int64
}

// loadingTable is what is to be done with one table.
type loadingTable struct {
	batches [][]plan.Step // the first is handed out, or next
	open    int           // steps handed out and not finished
	there   bool
	each    int64 // bytes of an index, on the average
}

// newLoading: indexes are the bytes of each table's indexes on the source.
func newLoading(steps []plan.Step, recorded map[plan.StepID]bool, indexes map[plan.Name]int64) *loading {
	l := &loading{tables: map[plan.Name]*loadingTable{}}
	l.change = sync.NewCond(&l.mu)
	for _, s := range steps {
		if recorded[s.ID] {
			continue
		}
		l.total++
		t := l.tables[*s.Table]
		if t == nil {
			t = &loadingTable{}
			l.tables[*s.Table] = t
		}
		if n := len(t.batches); n == 0 || t.batches[n-1][0].Batch != s.Batch {
			t.batches = append(t.batches, nil)
		}
		t.batches[len(t.batches)-1] = append(t.batches[len(t.batches)-1], s)
	}
	for name, t := range l.tables {
		n := int64(0)
		for _, s := range slices.Concat(t.batches...) {
			if s.Batch == schema.BatchIndexes {
				n++
			}
		}
		t.each = indexes[name] / max(n, 1)
		l.ofBytes += t.each * n
	}
	return l
}

// there tells that the table's rows are there; it can be told again.
func (l *loading) there(table plan.Name) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tables[table]; t != nil && !t.there {
		t.there = true
		l.hand(t)
	}
}

// everything tells that all rows are there.
func (l *loading) everything() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.copied = true
	for _, t := range l.tables {
		if !t.there {
			t.there = true
			l.hand(t)
		}
	}
	l.change.Broadcast()
}

// hand makes the table's next batch ready.
func (l *loading) hand(t *loadingTable) {
	if len(t.batches) == 0 {
		return
	}
	t.open = len(t.batches[0])
	l.ready = append(l.ready, t.batches[0]...)
	t.batches = t.batches[1:]
	slices.SortStableFunc(l.ready, func(a, b plan.Step) int { return cmp.Compare(a.Weight, b.Weight) })
	l.change.Broadcast()
}

// What is done in one go: steps over tables so small that the work is less than a round trip.
const (
	smallTable = 256 << 10 // bytes
	smallSteps = 32
)

// next waits for a step, or for several over small tables; none when all are handed out. It also returns how many of the
// sessions are busy from now on: while rows come, all of them.
func (l *loading) next() (steps []plan.Step, busy int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) == 0 && !l.over && l.done < l.total {
		l.change.Wait()
	}
	if l.over || len(l.ready) == 0 {
		return nil, 0
	}
	n := 1
	for last := len(l.ready); l.ready[last-n].Weight <= smallTable && n < min(smallSteps, last); {
		n++
	}
	steps = slices.Clone(l.ready[len(l.ready)-n:])
	l.ready = l.ready[:len(l.ready)-n]
	l.doing++
	if !l.copied {
		return steps, l.loaders
	}
	return steps, min(l.doing+len(l.ready), l.loaders)
}

// finished notes that the steps are done, and returns how far everything is, and whether the copy is over.
func (l *loading) finished(steps []plan.Step) (e plan.Event, copied bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += len(steps)
	l.doing--
	for _, s := range steps {
		t := l.tables[*s.Table]
		if s.Batch == schema.BatchIndexes {
			l.bytes += t.each
		}
		if t.open--; t.open == 0 {
			l.hand(t)
		}
	}
	if l.done == l.total {
		l.change.Broadcast()
	}
	e = l.copy
	e.Kind, e.Bytes = plan.EventProgress, e.Total
	return l.whole(e), l.copied
}

// whole adds to what the copy tells how far what is done beside it is.
func (l *loading) whole(e plan.Event) plan.Event {
	e.Time, e.Data = time.Time{}, maps.Clone(e.Data)
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	e.Data["built"], e.Data["to_build"] = l.done, l.total
	e.Bytes, e.Total = e.Bytes+l.bytes, e.Total+l.ofBytes
	return e
}

// stop hands out nothing more.
func (l *loading) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.change.Broadcast()
}

// copying emits what the copy tells, over everything.
func (r *run) copying(e plan.Event) {
	if l := r.loading; l != nil && e.Kind == plan.EventProgress {
		l.mu.Lock()
		l.copy = e
		e = l.whole(e)
		l.mu.Unlock()
	}
	r.emit(e)
}

func (r *run) indexBytes() map[plan.Name]int64 {
	m := map[plan.Name]int64{}
	for _, t := range r.sel.Published {
		m[t.Name] = t.IndexBytes
	}
	return m
}

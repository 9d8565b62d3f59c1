package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Bounds of a measurement: it is made by every check.
const (
	measureTime  = 800 * time.Millisecond // no further table is begun after this
	measureFirst = 4                      // tables that are measured however slow it is, within reason
	measureMost  = 20                     // tables
	measureLeast = 64 << 10               // bytes of a table worth measuring
	sampleBytes  = 512 << 10              // of text, of one table
	firstSample  = 2 << 20                // of the largest table
	sampleRows   = 30_000                 // what ANALYZE reads of a large table
	measureCores = 8                      // sessions side by side, at most
)

// measure measures the speeds that estimates are made of, in about a second. Rows of the largest tables are read
// from the source and written, through us, into tables that no transaction ever commits: their files go with
// the rollback, whatever happens to us. scratch is a session in a database of the target that holds the
// definitions. On the source nothing is locked above ACCESS SHARE, and nothing runs longer than a second.
// What cannot be measured is said in Notes: it is no reason to fail.
func (c Config) measure(ctx context.Context, source plan.Facts, scratch *pg.Target) (*plan.Rates, error) {
	m := &meter{config: c, scratch: scratch, rates: &plan.Rates{}}
	defer m.close()
	started := time.Now()
	err := m.connect(ctx)
	if err == nil {
		err = m.run(ctx, source, started)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		m.note("speeds", err)
	}
	return m.rates, nil
}

// meter is one measurement.
type meter struct {
	config  Config
	scratch *pg.Target
	sources []*pg.Source // as many as are needed side by side
	targets []*pg.Target
	rates   *plan.Rates
	keyRows int64 // of the table that showed what a foreign key costs
}

// note says why something was not measured. What the target says about a row holds the row, and is not repeated.
func (m *meter) note(of string, err error) {
	reason := err.Error()
	if code := pg.Code(err); strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") {
		reason = "the target refuses its rows (SQLSTATE " + code + ")"
	}
	text := plan.OneLine(m.config.redact(of + ": " + reason))
	m.rates.Notes = strings.TrimPrefix(m.rates.Notes+"; "+text, "; ")
}

// connect opens the first session on either side and measures what a round trip takes.
func (m *meter) connect(ctx context.Context) error {
	began := time.Now()
	if err := m.open(ctx, 1); err != nil {
		return err
	}
	m.rates.Connect = time.Since(began).Seconds() / 2
	var err error
	if m.rates.SourceRoundTrip, err = roundTrip(ctx, m.sources[0]); err != nil {
		return err
	}
	m.rates.TargetRoundTrip, err = roundTrip(ctx, m.targets[0])
	return err
}

// open opens sessions until there are n on either side. Those of the source end a statement after a second.
func (m *meter) open(ctx context.Context, n int) error {
	for len(m.targets) < n {
		s, err := m.openSource(ctx)
		if err != nil {
			return err
		}
		m.sources = append(m.sources, s)
		t, err := pg.OpenTarget(ctx, m.scratch.Address(), pg.Options{
			Verb: m.config.Verb, Log: m.config.Log, Settings: map[string]string{"statement_timeout": "3000"},
		})
		if err != nil {
			return err
		}
		m.targets = append(m.targets, t)
	}
	return nil
}

func (m *meter) openSource(ctx context.Context) (*pg.Source, error) {
	return pg.OpenSource(ctx, m.config.Source, pg.Options{
		Verb: m.config.Verb, ReadOnly: true, Log: m.config.Log,
		Settings: map[string]string{"statement_timeout": "1000", "lock_timeout": "100"},
	})
}

func (m *meter) close() {
	for _, s := range m.sources {
		s.Close()
	}
	for _, t := range m.targets {
		t.Close()
	}
}

// roundTrip is the shortest of a few.
func roundTrip(ctx context.Context, q pg.Querier) (float64, error) {
	var best float64
	for range 3 {
		began := time.Now()
		var one int
		if err := q.QueryRow(ctx, "select 1").Scan(&one); err != nil {
			return 0, fmt.Errorf("measure a round trip: %w", err)
		}
		if took := time.Since(began).Seconds(); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// run measures one table after the other, the largest first, and then what several at a time gain.
func (m *meter) run(ctx context.Context, source plan.Facts, started time.Time) error {
	samples, err := m.samples(ctx, source)
	if err != nil {
		return err
	}
	for i, s := range samples {
		if past := time.Since(started); i >= measureFirst && past > measureTime || past > 3*measureTime {
			break
		}
		if err := m.table(ctx, s); err != nil {
			m.note(s.Name.String(), err)
		}
		if i == min(measureFirst, len(samples))-1 {
			if err := m.parallel(ctx, samples[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample is a table to measure, and how.
type sample struct {
	plan.Relation
	rows       int64  // to be read
	columns    string // without the generated ones
	primaryKey string // its definition, and its columns
	keyColumns string
	indexes    []sampleIndex
}

type sampleIndex struct {
	name   plan.Name
	method string
	rest   string // from the method on: "btree (a, b)"
	unique bool
}

// samples chooses the tables: the largest that are in the scratch database too.
func (m *meter) samples(ctx context.Context, source plan.Facts) ([]sample, error) {
	sel, err := plan.Select(source, m.config.Options)
	if err != nil {
		return nil, err
	}
	tables := slices.DeleteFunc(slices.Clone(sel.Published), func(r plan.Relation) bool {
		return r.Bytes < measureLeast || len(copiedColumns(r)) == 0 ||
			slices.Contains(source.Role.NotReadable, r.Name.String()) || slices.Contains(source.Role.Filtered, r.Name.String())
	})
	slices.SortStableFunc(tables, func(a, b plan.Relation) int { return cmp.Compare(b.Bytes, a.Bytes) })
	tables = tables[:min(len(tables), measureMost)]
	if len(tables) == 0 {
		return nil, nil
	}
	there, err := m.definitions(ctx, tables)
	if err != nil {
		return nil, err
	}
	width, err := m.widths(ctx, tables...)
	if err != nil {
		width = m.widthsEach(ctx, tables)
	}
	var out []sample
	for i, t := range tables {
		s, ok := there[t.Name]
		if !ok || width[i] == 0 {
			continue
		}
		size := float64(sampleBytes)
		if len(out) == 0 {
			size = firstSample
		}
		s.Relation, s.columns = t, strings.Join(copiedColumns(t), ", ")
		s.rows = min(max(int64(size/width[i]), 1), sampleRows)
		out = append(out, s)
	}
	return out, nil
}

// copiedColumns are the columns that a first copy sends, quoted.
func copiedColumns(r plan.Relation) []string {
	var out []string
	for _, c := range r.Columns {
		if c.Generated == "" {
			out = append(out, plan.QuoteIdent(c.Name))
		}
	}
	return out
}

// widths returns how long a row's text is, in one round trip. The first rows are looked at, which are those that
// will be sent, and some from all over the table, found by their place: the first may be unlike the others.
func (m *meter) widths(ctx context.Context, tables ...plan.Relation) ([]float64, error) {
	var parts []string
	for _, t := range tables {
		name := t.Name.String()
		parts = append(parts, `(select coalesce(greatest(avg(l) filter (where n = 1), avg(l) filter (where n = 2)), 0)::float8 from (
  (select 1 as n, octet_length(r::text) as l from only `+name+` r limit 20)
  union all select 2, octet_length(r::text) from only `+name+` r where ctid = any (array(
    select format('(%s,%s)', pg_relation_size(`+plan.QuoteLiteral(name)+`::regclass) / current_setting('block_size')::int8 * i / 16, k)::tid
      from generate_series(0, 15) i, generate_series(1, 2) k))) s)`)
	}
	var out []float64
	if err := m.sources[0].QueryRow(ctx, "select array["+strings.Join(parts, ",\n")+"]").Scan(&out); err != nil {
		return nil, fmt.Errorf("read some rows: %w", err)
	}
	return out, nil
}

// widthsEach asks table by table: one that somebody has locked must not keep us from the others.
func (m *meter) widthsEach(ctx context.Context, tables []plan.Relation) []float64 {
	out := make([]float64, len(tables))
	for i, t := range tables {
		width, err := m.widths(ctx, t)
		if err != nil {
			m.note(t.Name.String(), err)
			continue
		}
		out[i] = width[0]
	}
	return out
}

// parallel measures what several copies, and several jobs on the target alone, gain over one.
func (m *meter) parallel(ctx context.Context, s sample) error {
	var copies int
	if err := m.targets[0].QueryRow(ctx, "select current_setting('max_sync_workers_per_subscription')::int").Scan(&copies); err != nil {
		return fmt.Errorf("read how many tables are copied at a time: %w", err)
	}
	copies = min(copies, measureCores)
	jobs := min(max(m.config.Options.Jobs, 1), measureCores)
	if max(copies, jobs) < 2 || len(m.rates.Tables) == 0 {
		return nil
	}
	if err := m.open(ctx, max(copies, jobs)); err != nil {
		return err
	}
	burn := func(i int) error { return burn(ctx, m.targets[i]) }
	one, err := m.best(1, burn)
	if err != nil {
		return err
	}
	many, err := m.best(jobs, burn)
	if err != nil {
		return err
	}
	m.rates.Jobs, m.rates.JobSpeedup = jobs, speedup(jobs, one, many)
	if copies < 2 {
		return nil
	}
	if one, err = m.copies(ctx, s, 1); err != nil {
		return err
	}
	if many, err = m.copies(ctx, s, copies); err != nil {
		return err
	}
	m.rates.Copies, m.rates.CopySpeedup = copies, speedup(copies, one, many)
	for i := range m.rates.Tables {
		if t := &m.rates.Tables[i]; t.Table == s.Name {
			t.Copy = min(t.Copy, one) // the very first one was to warm up, too
		}
	}
	return nil
}

// copies copies the sample n times side by side.
func (m *meter) copies(ctx context.Context, s sample, n int) (float64, error) {
	defer func() {
		for i := range n {
			_ = m.targets[i].Rollback()
		}
	}()
	for i := range n {
		if err := m.prepare(ctx, m.targets[i], s, i); err != nil {
			return 0, err
		}
	}
	return m.together(n, func(i int) error { _, err := m.fill(ctx, i, s); return err })
}

// best is the shortest of three: what disturbs a short measurement only makes it longer.
func (m *meter) best(n int, f func(i int) error) (best float64, err error) {
	for range 3 {
		took, err := m.together(n, f)
		if err != nil {
			return 0, err
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// burn keeps one core of the target busy for some milliseconds.
func burn(ctx context.Context, t *pg.Target) error {
	var n int64
	if err := t.QueryRow(ctx, "select sum(hashint8(n)::int8) from generate_series(1, 50000) n").Scan(&n); err != nil {
		return fmt.Errorf("measure what several jobs gain: %w", err)
	}
	return nil
}

// together runs f n times side by side and returns the seconds until the last is done.
func (m *meter) together(n int, f func(i int) error) (float64, error) {
	var group errgroup.Group
	began := time.Now()
	for i := range n {
		group.Go(func() error { return f(i) })
	}
	err := group.Wait()
	return time.Since(began).Seconds(), err
}

// speedup of n at a time: between one and n.
func speedup(n int, one, many float64) float64 {
	if many <= 0 {
		return 1
	}
	return min(max(float64(n)*one/many, 1), float64(n))
}

package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"pgleap/internal/pgserver"
)

// copyBounds say what the first copy may take as a part of what another way takes in the same run: the median of the
// best of some ways of ours. They are of full size: fixed costs are a larger part of a smaller one.
var copyBounds = []copyBound{
	{"orders", []string{"stream", "server"}, "native", 0.60},
	{"orders", []string{"stream", "server"}, "pgcopydb", 0.75},
	{"orders", []string{"stream", "server"}, "floor", 1.10},
	{"big", []string{"stream", "server"}, "native", 0.70},
	{"uuid", []string{"stream"}, "native", 0.35},
	{"uuid", []string{"server"}, "native", 0.50},
	{"small", []string{"stream", "server"}, "native", 0.70},
	{"small", []string{"stream", "server"}, "pgcopydb", 1.00},
	{"loaded", []string{"stream"}, "native", 0.70},
}

// mostTimesLatency bounds the 95th percentile of the source's writes during the copy, as a multiple of that during the
// native one.
const mostTimesLatency = 1.5

type copyBound struct {
	dataset string
	ways    []string
	of      string
	most    float64
}

// BenchmarkCopy measures the first copy: from an empty database of the target to every table ready, every index valid
// and everything analyzed. Each turn takes all ways in turn, each with a database of its own, on the same two servers:
//
//   - native: the whole schema, then a subscription with its defaults;
//   - pgcopydb, where it is found;
//   - floor: COPY in ranges between processes of psql, then pg_restore of the indexes, without replication;
//   - stream and server: pgleap sync with that --copy, by the program, as long as the command takes.
//
// The dataset loaded is orders with writes on the source all the while, until the target has them all. It prints a
// table for each dataset, and fails when a bound is passed at full size. The environment makes it shorter: COPY_PAIR
// (15-17), COPY_DATASETS (orders,loaded,uuid,big,small), COPY_WAYS (native,pgcopydb,floor,stream,server), COPY_TURNS
// (3), COPY_SCALE (100 percent), COPY_RATE (300 writes a second; 0 leaves the dataset loaded out), COPY_FLAGS (more flags
// of pgleap sync).
//
//	go test -run '^$' -bench 'Copy$' -benchtime 1x -timeout 600m ./cmd/pgleap
func BenchmarkCopy(b *testing.B) {
	for range b.N {
		c := newCopyBench(b)
		for _, d := range c.datasets {
			c.measure(d)
			c.print(d.name)
		}
		c.judge()
	}
	b.ReportMetric(0, "ns/op")
}

// copyBench is one run.
type copyBench struct {
	b              *testing.B
	source, target *pgserver.Server
	ways           []copyWay
	datasets       []copyDataset
	turns, scale   int
	rate           int
	results        map[copyKey][]copyResult
}

type copyKey struct{ dataset, way string }

// copyResult is one copy.
type copyResult struct {
	took    time.Duration
	cpu     time.Duration // of the program's own processes, where it is one
	stages  []copyStage
	latency []time.Duration // of the writes on the source, sorted
	late    int             // writes that began later than they should have by more than the generator may be behind
}

type copyStage struct {
	name string
	took time.Duration
}

func newCopyBench(b *testing.B) *copyBench {
	c := &copyBench{
		b: b, turns: fromEnvironment(b, "COPY_TURNS", 3), scale: fromEnvironment(b, "COPY_SCALE", 100),
		rate: fromEnvironment(b, "COPY_RATE", 300), results: map[copyKey][]copyResult{},
	}
	from, to, _ := strings.Cut(cmp.Or(os.Getenv("COPY_PAIR"), "15-17"), "-")
	majors := make([]int, 2)
	for i, text := range []string{from, to} {
		var err error
		if majors[i], err = strconv.Atoi(text); err != nil {
			b.Fatalf("COPY_PAIR=%q: give a pair such as 15-17", os.Getenv("COPY_PAIR"))
		}
	}
	c.datasets = copyChosen(b, "COPY_DATASETS", copyDatasets, func(d copyDataset) string { return d.name })
	c.ways = copyChosen(b, "COPY_WAYS", copyWays, func(w copyWay) string { return w.name })
	c.datasets = slices.DeleteFunc(c.datasets, func(d copyDataset) bool { return d.loaded && c.rate == 0 })
	if slices.ContainsFunc(c.ways, func(w copyWay) bool { return w.name == "pgcopydb" }) {
		fmt.Fprintf(os.Stderr, "pgcopydb: %s\n", pgcopydbVersion())
	}
	c.ways = slices.DeleteFunc(c.ways, func(w copyWay) bool { return w.name == "pgcopydb" && pgcopydbProgram() == "" })
	c.source = pgserver.StartT(b, pgserver.Options{Major: majors[0], Settings: copySettings})
	c.target = pgserver.StartT(b, pgserver.Options{Major: majors[1], Settings: copySettings})
	return c
}

// copySettings are those of a sensible production; what is not named has its default, and where the servers of tests
// have another one it is named.
var copySettings = map[string]string{
	"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "8GB", "max_locks_per_transaction": "512",
	"max_sync_workers_per_subscription": "2",
}

// copyChosen are those of all that a variable of the environment names, in the order of all; all without it.
func copyChosen[T any](b *testing.B, variable string, all []T, name func(T) string) []T {
	text := os.Getenv(variable)
	if text == "" {
		return slices.Clone(all)
	}
	var chosen []T
	given := strings.Split(text, ",")
	for _, v := range all {
		if slices.Contains(given, name(v)) {
			chosen = append(chosen, v)
		}
	}
	if len(chosen) != len(given) {
		b.Fatalf("%s=%q names something that is not there", variable, text)
	}
	return chosen
}

// measure makes a dataset and copies it in all ways, turn by turn, each turn beginning with another way.
func (c *copyBench) measure(d copyDataset) {
	d.make(c)
	expected := &copyContents{}
	var ways []copyWay
	for _, w := range c.ways {
		if !d.loaded || w.follows {
			ways = append(ways, w)
		}
	}
	for turn := range c.turns {
		for i := range ways {
			w := ways[(turn+i)%len(ways)]
			r := c.once(d, w, expected)
			key := copyKey{d.name, w.name}
			c.results[key] = append(c.results[key], r)
			fmt.Fprintf(os.Stderr, "%s, turn %d: %s %.2f s%s\n", d.name, turn+1, w.name, r.took.Seconds(), copyStages(r.stages))
		}
	}
	c.query(c.source.URI("postgres"), "drop database "+d.database())
}

// once copies a dataset in one way, and takes it down again.
func (c *copyBench) once(d copyDataset, w copyWay, expected *copyContents) copyResult {
	target := c.target.URI("postgres")
	c.query(target, "drop database if exists "+d.database()+" with (force)")
	c.query(target, "create database "+d.database())
	for _, s := range []*pgserver.Server{c.source, c.target} {
		c.query(s.URI("postgres"), "checkpoint")
	}
	run := &copyRun{copyBench: c, database: d.database()}
	var load *copyLoad
	if d.loaded {
		load = c.startLoad(d)
		*expected = copyContents{}
	}
	begun := time.Now()
	w.do(run)
	if load != nil {
		load.end()
		run.awaitRow(load.mark())
		run.result.latency, run.result.late = load.measured()
	}
	run.result.took = time.Since(begun)
	c.mustBeEqual(d, w, expected)
	if w.undo != nil {
		w.undo(run)
	}
	c.mustHoldNothing(d, w)
	return run.result
}

// print writes the table of a dataset.
func (c *copyBench) print(dataset string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d %%\ttimes\tmedian s\tmin–max\t× native\t× pgcopydb\t× floor\town CPU s\twrites p95 ms\t× native\tlate\t\n", dataset, c.scale)
	for _, way := range c.ways {
		rs := c.results[copyKey{dataset, way.name}]
		if len(rs) == 0 {
			continue
		}
		seconds := copySeconds(rs)
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f–%.2f", way.name, len(rs), median(seconds), slices.Min(seconds), slices.Max(seconds))
		for _, other := range []string{"native", "pgcopydb", "floor"} {
			fmt.Fprintf(w, "\t%s", copyRatio(median(seconds), c.took(dataset, other)))
		}
		fmt.Fprintf(w, "\t%s\t%s\n", copyCPU(rs), c.latencies(dataset, way.name))
	}
	for _, way := range c.ways {
		if rs := c.results[copyKey{dataset, way.name}]; len(rs) > 0 && len(rs[len(rs)-1].stages) > 0 {
			fmt.Fprintf(w, "%s, the last turn%s\n", way.name, copyStages(rs[len(rs)-1].stages))
		}
	}
	if err := w.Flush(); err != nil {
		c.b.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "\n%s", text.String())
}

// took is the median of a way, in seconds; 0 where it was left out.
func (c *copyBench) took(dataset, way string) float64 {
	rs := c.results[copyKey{dataset, way}]
	if len(rs) == 0 {
		return 0
	}
	return median(copySeconds(rs))
}

// p95 is the median, in seconds, of the 95th percentiles of the writes on the source; 0 without writes.
func (c *copyBench) p95(dataset, way string) float64 {
	var all []float64
	for _, r := range c.results[copyKey{dataset, way}] {
		if n := len(r.latency); n > 0 {
			all = append(all, r.latency[min(n*95/100, n-1)].Seconds())
		}
	}
	if len(all) == 0 {
		return 0
	}
	return median(all)
}

func (c *copyBench) latencies(dataset, way string) string {
	p95 := c.p95(dataset, way)
	if p95 == 0 {
		return "\t\t"
	}
	late := 0
	for _, r := range c.results[copyKey{dataset, way}] {
		late += r.late
	}
	return fmt.Sprintf("%.1f\t%s\t%d", 1000*p95, copyRatio(p95, c.p95(dataset, "native")), late)
}

// judge fails the benchmark where a bound does not hold.
func (c *copyBench) judge() {
	if c.scale != 100 {
		return
	}
	for _, bound := range copyBounds {
		best := 0.0
		for _, way := range bound.ways {
			if took := c.took(bound.dataset, way); took > 0 && (best == 0 || took < best) {
				best = took
			}
		}
		of := c.took(bound.dataset, bound.of)
		if best > bound.most*of && of > 0 {
			c.b.Errorf("%s: %s takes %.2f s, %.2f × %s, and may take %.2f ×", bound.dataset, strings.Join(bound.ways, " or "), best, best/of, bound.of, bound.most)
		}
	}
	stream, native := c.p95("loaded", "stream"), c.p95("loaded", "native")
	if native > 0 && stream > mostTimesLatency*native {
		c.b.Errorf("loaded: the 95th percentile of writes on the source is %.1f ms with stream, %.2f × that with native", 1000*stream, stream/native)
	}
}

func copySeconds(rs []copyResult) []float64 {
	out := make([]float64, len(rs))
	for i, r := range rs {
		out[i] = r.took.Seconds()
	}
	return out
}

func copyCPU(rs []copyResult) string {
	var all []float64
	for _, r := range rs {
		all = append(all, r.cpu.Seconds())
	}
	if m := median(all); m > 0 {
		return fmt.Sprintf("%.2f", m)
	}
	return ""
}

func copyRatio(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

func copyStages(stages []copyStage) string {
	var parts []string
	for _, s := range stages {
		parts = append(parts, fmt.Sprintf("%s %.2f", s.name, s.took.Seconds()))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

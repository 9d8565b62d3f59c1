package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"text/tabwriter"
	"time"

	"pgleap/internal/rehearsal"
)

// What a cutover may cost: the median stall as a multiple of the floor of the same run, as a part of the published
// procedure's, and with many tables as a multiple of that with few.
const (
	mostTimesTheFloor  = 3
	leastTimesFaster   = 10
	mostTimesFewTables = 4
)

// BenchmarkCutover measures what clients see of a switch, at 1,000 writes and 1,000 reads a second through a real
// PgBouncer in transaction mode, on this very machine with both servers and the load:
//
//   - many cutovers in one run, there and back, beside the floor that is measured in the same run;
//   - the published procedure of the best-known open tool, in the same harness;
//   - the same with few tables and with thousands.
//
// It prints one table, and fails when a client's transaction failed or was lost, or a bound is passed. The environment
// makes it shorter: CUTOVER_PAIRS (13-18,17-18), CUTOVER_TURNS (50 cutovers a run), CUTOVER_FLOORS (20 of each),
// CUTOVER_BASELINES (5 runs), CUTOVER_TABLES (5000; 0 leaves that part out), CUTOVER_RATE (1000), CUTOVER_CLIENTS (32).
//
//	go test -run '^$' -bench 'Cutover$' -benchtime 1x -timeout 120m ./cmd/pgleap
func BenchmarkCutover(b *testing.B) {
	for range b.N {
		t := &cutoverTable{b: b}
		for _, pair := range cutoverPairs(b) {
			ours := t.tool(pair)
			t.published(pair, ours)
		}
		if n := fromEnvironment(b, "CUTOVER_TABLES", 5000); n > 0 {
			t.many(n)
		}
		t.print()
	}
	b.ReportMetric(0, "ns/op")
}

// cutoverTable gathers the lines of the one table.
type cutoverTable struct {
	b     *testing.B
	lines []string
	notes []string
}

// load is that of every part.
func (t *cutoverTable) load(pair [2]int) rehearsal.Config {
	rate := float64(fromEnvironment(t.b, "CUTOVER_RATE", 1000))
	return rehearsal.Config{
		From: pair[0], To: pair[1], Scenario: "shop", Seed: 1, Pooler: rehearsal.PoolerPgBouncer,
		Rate: rate, ReadRate: rate, Clients: fromEnvironment(t.b, "CUTOVER_CLIENTS", 32), Duration: 8 * time.Second,
		Budget: rehearsal.Budget{WriteStall: 3 * time.Second},
	}
}

// tool is the run of many cutovers, with the floor before them.
func (t *cutoverTable) tool(pair [2]int) rehearsal.Verdict {
	c := t.load(pair)
	c.Trips, c.Floors = fromEnvironment(t.b, "CUTOVER_TURNS", 50)-1, max(1, fromEnvironment(t.b, "CUTOVER_FLOORS", 20))
	v := t.run(c)
	mustPass(t.b, v)
	t.floor(pair, v.Floor)
	t.direction(pair, "cutover", v.Turns.Cutover, v.Ledger)
	if v.Turns.Rollback.Stall.N > 0 {
		t.direction(pair, "rollback", v.Turns.Rollback, v.Ledger)
	}
	return v
}

func (t *cutoverTable) direction(pair [2]int, name string, d rehearsal.Direction, l rehearsal.LedgerSummary) {
	t.line(pair, "pgleap "+name, d.Stall, d.Slowest, l, fmt.Sprintf("%.1f × the floor", d.Times))
	if d.Times > mostTimesTheFloor {
		t.b.Errorf("%d → %d: %s stalls writes for %.1f ms, %.1f × the floor", pair[0], pair[1], name, d.Stall.Median, d.Times)
	}
}

func (t *cutoverTable) floor(pair [2]int, f *rehearsal.Floor) {
	t.row(pair, "floor: PAUSE, RESUME", f.Pause, "")
	t.row(pair, "floor: fence script by itself", f.Script, "")
	t.row(pair, "PAUSE, fence script, RESUME", f.Hand, "")
	t.notes = append(t.notes, fmt.Sprintf("%d → %d: the floor is %.1f ms, the medians of PAUSE and RESUME and of the fence script together.", pair[0], pair[1], f.Total()))
}

// published is the baseline: a run for each of its switches, as it has no way back.
func (t *cutoverTable) published(pair [2]int, ours rehearsal.Verdict) {
	var stalls, slowest []float64
	var sum rehearsal.LedgerSummary
	for i := range fromEnvironment(t.b, "CUTOVER_BASELINES", 5) {
		c := t.load(pair)
		c.By, c.SkipFinalize, c.Seed = rehearsal.ByPublished, true, int64(i+1)
		v := t.run(c) // it is not expected to pass
		stalls, slowest = append(stalls, v.Switch.StallMS), append(slowest, v.Switch.Inside.Max)
		sum.Acknowledged += v.Ledger.Acknowledged
		sum.FailedTransactions += v.Ledger.FailedTransactions
		sum.FailedPooled += v.Ledger.FailedPooled
		sum.Lost += v.Ledger.Lost
		sum.Duplicated += v.Ledger.Duplicated
		sum.Twice += v.Ledger.Twice
	}
	if len(stalls) == 0 {
		return
	}
	stall := rehearsal.NewSpread(stalls)
	faster := stall.Median / ours.Turns.Cutover.Stall.Median
	t.line(pair, "published procedure", stall, rehearsal.NewSpread(slowest), sum, fmt.Sprintf("%.1f × pgleap's", faster))
	if faster < leastTimesFaster {
		t.b.Errorf("%d → %d: the published procedure stalls writes for %.1f ms, only %.1f × as long", pair[0], pair[1], stall.Median, faster)
	}
}

// many compares a switch of many tables and sequences with one of few.
func (t *cutoverTable) many(tables int) {
	pair := cutoverPairs(t.b)[0]
	var median [2]float64
	for i, n := range []int{10, tables} {
		c := t.load(pair)
		c.Scenario, c.ScenarioDir, c.Fence = "wide", wide(n), "guard"
		c.Settings = map[string]string{"max_locks_per_transaction": "256"}
		c.Trips = fromEnvironment(t.b, "CUTOVER_WIDE_TURNS", 5) - 1
		v := t.run(c)
		mustPass(t.b, v)
		stall := rehearsal.NewSpread([]float64{v.Switch.StallMS})
		slowest := rehearsal.NewSpread([]float64{v.Switch.Inside.Max})
		if v.Turns != nil {
			stall, slowest = v.Turns.Cutover.Stall, v.Turns.Cutover.Slowest
		}
		median[i] = stall.Median
		note := ""
		if i == 1 {
			note = fmt.Sprintf("%.1f × with 10", median[1]/median[0])
		}
		t.line(pair, fmt.Sprintf("%d tables and sequences", n), stall, slowest, v.Ledger, note)
	}
	if ratio := median[1] / median[0]; ratio > mostTimesFewTables {
		t.b.Errorf("with %d tables and sequences the median stall is %.1f × that with 10", tables, ratio)
	}
}

// wide is a schema of n tables, each with a sequence and a key, made some at a time: a transaction locks what it makes.
func wide(n int) fstest.MapFS {
	const chunk = 500
	files := fstest.MapFS{"wide/10-schema.sql": {Data: []byte("create schema wide; grant usage on schema wide to public")}}
	for from := 0; from < n; from += chunk {
		sql := fmt.Sprintf(`do $$ begin
			for i in %d..%d loop
				execute format('create table wide.t%%s (id bigserial primary key, v bigint)', i);
				execute format('insert into wide.t%%s (v) select g from generate_series(1, 3) g', i);
			end loop; end $$`, from+1, min(n, from+chunk))
		files[fmt.Sprintf("wide/%d-tables.sql", 20+from/chunk)] = &fstest.MapFile{Data: []byte(sql)}
	}
	return files
}

func (t *cutoverTable) run(c rehearsal.Config) rehearsal.Verdict {
	t.b.Helper()
	self, err := os.Executable()
	if err != nil {
		t.b.Fatal(err)
	}
	c.Tool, c.ToolEnv = []string{self}, []string{asCommand + "=1"}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	v, err := rehearsal.Run(ctx, c)
	if err != nil {
		t.b.Fatalf("the rehearsal broke: %v", err)
	}
	t.b.Logf("%d → %d, %s: %s", c.From, c.To, c.Scenario, load(v))
	return v
}

// load says what the load really was.
func load(v rehearsal.Verdict) string {
	a, _ := v.Assertion("R-LOAD")
	return fmt.Sprintf("%s; writes %s; reads %s", a.Detail, v.Switch.Outside, v.Switch.ReadOutside)
}

func (t *cutoverTable) line(pair [2]int, what string, stall, slowest rehearsal.Spread, l rehearsal.LedgerSummary, note string) {
	t.row(pair, what, stall, fmt.Sprintf("%.1f\t%.1f\t%d\t%d\t%d\t%d\t%s", slowest.Median, slowest.Max, l.FailedPooled, l.Lost, l.Duplicated, l.Twice, note))
}

func (t *cutoverTable) row(pair [2]int, what string, stall rehearsal.Spread, more string) {
	t.lines = append(t.lines, fmt.Sprintf("%d → %d\t%s\t%d\t%.1f\t%.1f\t%s", pair[0], pair[1], what, stall.N, stall.Median, stall.Max, more))
}

func (t *cutoverTable) print() {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "versions\twhat\ttimes\tstall ms, median\tmax\tslowest write ms, median\tmax\tfailed\tlost\tdoubled\tnumbers twice\t")
	for _, l := range t.lines {
		fmt.Fprintln(w, l)
	}
	if err := w.Flush(); err != nil {
		t.b.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "\n%s\n%s\n", text.String(), strings.Join(t.notes, "\n"))
}

// cutoverPairs are the versions, from the environment.
func cutoverPairs(b *testing.B) (pairs [][2]int) {
	text := os.Getenv("CUTOVER_PAIRS")
	if text == "" {
		text = "13-18,17-18"
	}
	for _, p := range strings.Split(text, ",") {
		from, to, _ := strings.Cut(p, "-")
		f, err1 := strconv.Atoi(from)
		t, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			b.Fatalf("CUTOVER_PAIRS=%q: give pairs such as 13-18,17-18", text)
		}
		pairs = append(pairs, [2]int{f, t})
	}
	return pairs
}

func fromEnvironment(b *testing.B, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		b.Fatalf("%s=%q: give a number", name, text)
	}
	return n
}

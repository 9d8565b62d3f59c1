package plan

import (
	"math"
	"strings"
	"testing"
)

// estimated is a plan of three tables and a partitioned one, of which orders was measured.
func estimated(change func(*Plan)) Plan {
	n := func(name string) Name { return Name{"public", name} }
	mb := int64(1 << 20)
	tables := []Relation{
		{Name: n("orders"), Kind: "r", Persistence: "p", Bytes: 1000 * mb, IndexBytes: 300 * mb},
		{Name: n("lines"), Kind: "r", Persistence: "p", Bytes: 500 * mb},
		{Name: n("small"), Kind: "r", Persistence: "p", Bytes: 8192, Rows: 40},
		{Name: n("events"), Kind: "p", Persistence: "p"},
		{Name: n("events_1"), Kind: "r", Persistence: "p", Partition: true, Parents: []Name{n("events")}, Bytes: 10 * mb},
	}
	step := func(id StepID, batch string, table Name, sql string) Step {
		return Step{ID: id, On: Target, Batch: batch, Table: &table, Do: Action{SQL: sql}}
	}
	p := Plan{
		Options: Options{Jobs: 2},
		Source: Facts{
			Side: Source, Settings: map[string]string{"max_slot_wal_keep_size": "1024"}, Relations: tables, ForeignKeys: []ForeignKey{{"lines_order_fkey", n("lines"), n("orders")}},
			Cluster: ClusterFacts{WALBytesPerSecond: float64(mb), WALBasis: "over the last hour"},
		},
		Target: Facts{Side: Target, Settings: map[string]string{"max_sync_workers_per_subscription": "4"}, Trial: &TrialFacts{Rates: &Rates{
			SourceRoundTrip: 0.0001, TargetRoundTrip: 0.0001, Connect: 0.005, Copies: 4, CopySpeedup: 2, Jobs: 2, JobSpeedup: 2, KeyRow: 1e-7,
			Tables:  []TableRate{{n("orders"), 10_000, mb, 0.02, 0.015}},
			Indexes: []IndexRate{{n("orders_note"), n("orders"), "btree", 0.004}, {n("orders_text"), n("orders"), "gin", 0.1}},
		}}},
		Stages: []Stage{{ID: StageSubscribe, Steps: []Step{{ID: "subscribe.copy", On: Target, Do: Action{Call: "follow-copy"}}}}, {ID: StageFinish, Steps: []Step{
			step("finish.index.public.orders_note", "indexes", n("orders"), "CREATE INDEX orders_note ON public.orders USING btree (note)"),
			step("finish.index.public.orders_text", "indexes", n("orders"), "CREATE INDEX orders_text ON public.orders USING gin (body)"),
			step("finish.index.public.lines_text", "indexes", n("lines"), "CREATE INDEX lines_text ON public.lines USING gin (body)"),
			step("finish.index.public.events_at", "indexes", n("events"), "CREATE INDEX events_at ON ONLY public.events USING btree (at)"),
			step("finish.foreign-key.public.lines_order_fkey", "foreign-keys", n("lines"), "ALTER TABLE …"),
			step("finish.analyze.public.orders", "analyze", n("orders"), "analyze public.orders"),
			step("finish.analyze.public.small", "analyze", n("small"), "analyze public.small"),
			step("finish.analyze.public.events", "analyze", n("events"), "analyze public.events"),
		}}},
	}
	change(&p)
	sel, err := Select(p.Source, p.Options)
	if err != nil {
		panic(err)
	}
	sel.Published = append(sel.Published, tables[0], tables[1], tables[2], tables[4])
	return p.Estimated(sel)
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.05*want {
		t.Errorf("%s: %.4g s; want %.4g", what, got, want)
	}
}

func TestEstimated(t *testing.T) {
	p := estimated(func(*Plan) {})
	finish, _ := p.Stage(StageFinish)
	seconds := func(id StepID) float64 {
		st, _ := finish.Step(id)
		if st.Estimate == nil || st.Estimate.Basis == "" {
			t.Fatalf("%s has no estimate, or no basis: %+v", id, st.Estimate)
		}
		return st.Estimate.Seconds
	}
	logs := math.Log2(10e6+2) / math.Log2(10e3+2)
	near(t, "a measured index", seconds("finish.index.public.orders_note"), lastingIndex*0.004*1000*logs)
	near(t, "a measured gin index", seconds("finish.index.public.orders_text"), lastingIndex*0.1*1000*logs)
	near(t, "an index as the other gin indexes", seconds("finish.index.public.lines_text"), lastingIndex*0.1*500)
	near(t, "an index of a partitioned table", seconds("finish.index.public.events_at"), 0.0003+0.0046/4)
	near(t, "a foreign key", seconds("finish.foreign-key.public.lines_order_fkey"), lastingKey*1e-7*15e6+1500.0/(12*50))
	// 30,000 of the rows, and their pages
	near(t, "analyze", seconds("finish.analyze.public.orders"), lastingAnalyze*0.015*3+30000*8192.0/(12*50<<20))
	near(t, "analyze of partitions", seconds("finish.analyze.public.events"), 30000*1.5e-6*(1+lastingAnalyze)+10.0/(12*50))

	// 1,510 MB at 50 MB/s, two times as fast side by side, and half of what the longest could lag behind.
	copied := 1510*0.02*lastingCopy/2 + 1000*0.02*lastingCopy*0.5/2
	near(t, "copy", p.Totals.Copy.Seconds, copied)
	if s := p.Stages[0].Steps[0]; s.Estimate == nil || s.Estimate.Seconds != p.Totals.Copy.Seconds {
		t.Errorf("the step that waits for the copy has %+v", s.Estimate)
	}
	near(t, "WAL", float64(p.Totals.RetainedWAL), copied*(1<<20))
	if p.Totals.WALLimit != 1<<30 || p.Totals.Indexes != 4 || p.Totals.ForeignKeys != 1 || p.Totals.Tables != 4 {
		t.Errorf("totals: %+v", p.Totals)
	}
	for _, want := range []string{"1.5 GB in 4 tables at 38 MB/s, measured on public.orders", "4 at a time", "2 times as fast as one"} {
		if !strings.Contains(p.Totals.Copy.Basis, want) {
			t.Errorf("the copy's basis lacks %q: %s", want, p.Totals.Copy.Basis)
		}
	}
	if !strings.Contains(p.Totals.WALBasis, "1 MB/s of WAL, over the last hour") {
		t.Errorf("the WAL's basis: %s", p.Totals.WALBasis)
	}
}

func TestEstimatedWithoutRates(t *testing.T) {
	p := estimated(func(p *Plan) { p.Target.Trial = nil; p.Source.Cluster = ClusterFacts{}; p.Source.Settings = nil })
	for _, e := range []Estimate{p.Totals.Copy, p.Totals.Index, p.Totals.Analyze, p.Totals.Stall} {
		if e.Seconds <= 0 || !strings.Contains(e.Basis, notMeasured) {
			t.Errorf("without rates: %+v", e)
		}
	}
	near(t, "copy", p.Totals.Copy.Seconds, 1510.0/20)
	if p.Totals.RetainedWAL != 0 || p.Totals.WALLimit != -1 || !strings.Contains(p.Totals.WALBasis, "was not measured") {
		t.Errorf("WAL: %+v", p.Totals)
	}
}

// TestEstimatedOfFewRows: what a handful of rows took says nothing about a million.
func TestEstimatedOfFewRows(t *testing.T) {
	p := estimated(func(p *Plan) { p.Target.Trial.Rates.Tables[0].Rows = 20 })
	finish, _ := p.Stage(StageFinish)
	st, _ := finish.Step("finish.index.public.orders_text")
	near(t, "index", st.Estimate.Seconds, 1000.0/20)
	if !strings.Contains(st.Estimate.Basis, notMeasured) {
		t.Errorf("basis: %s", st.Estimate.Basis)
	}
}

// TestEstimatesAreNoDrift: a saved plan must not be refused because a disk was busier on Monday.
func TestEstimatesAreNoDrift(t *testing.T) {
	a := estimated(func(*Plan) {})
	b := estimated(func(p *Plan) {
		p.Target.Trial.Rates.Tables[0].Copy = 5
		p.Source.Cluster.WALBytesPerSecond = 7
	})
	if a.Totals.Copy == b.Totals.Copy {
		t.Fatal("the estimates are the same")
	}
	if drift := a.Drift(b); len(drift) > 0 || a.Fingerprint() != b.Fingerprint() {
		t.Errorf("drift: %q", drift)
	}
}

func TestSlotEstimate(t *testing.T) {
	e := newEstimator(Plan{Source: Facts{Transactions: []Transaction{{PID: 1, Seconds: 900}, {PID: 4711, User: "app", Seconds: 840, Writes: true}}}}, Selection{})
	if got := e.slot(); !strings.Contains(got.Basis, "pid 4711 (app)") || !strings.Contains(got.Basis, "14 min") {
		t.Errorf("slot: %+v", got)
	}
}

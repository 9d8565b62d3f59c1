package pipeline

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgleap/cutover"
	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
	"pgleap/sequences"
)

// rounds is how many switches of each schema are made: the median counts.
const rounds = 5

// BenchmarkManyTables makes switches of 10 tables and of 5,000 tables and sequences, while a client writes every
// millisecond. It prints how long that client had to wait, and fails when the larger schema's median is more than four
// times the smaller one's.
//
//	go test -run '^$' -bench ManyTables -benchtime 1x ./internal/pipeline
func BenchmarkManyTables(b *testing.B) {
	for range b.N {
		few, many := switches(b, 10), switches(b, 5000)
		ratio := middle(many) / middle(few)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(middle(few), "ms-10-tables")
		b.ReportMetric(middle(many), "ms-5000-tables")
		b.ReportMetric(ratio, "ratio")
		if ratio > 4 {
			b.Errorf("the stall grows with the schema: %.1f ms with 10 tables, %.1f with 5,000, ratio %.1f", middle(few), middle(many), ratio)
		}
	}
}

func middle(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// switches returns the longest time, in milliseconds, without an acknowledged write in each round.
func switches(b *testing.B, tables int) []float64 {
	b.Helper()
	more := map[string]string{"max_locks_per_transaction": "256"}
	source, target := pgserver.StartT(b, pgserver.Options{Major: 13, Settings: more}), pgserver.StartT(b, pgserver.Options{Major: 18, Settings: more})
	r := stallRun(b, source, target, tables)
	var out []float64
	for range rounds {
		stall, result := r.round(b)
		b.Logf("%5d tables: %5.1f ms without a write; %s", tables, stall, resultLine(result))
		out = append(out, stall)
	}
	return out
}

func resultLine(r cutover.Result) string {
	return fmt.Sprintf("lock %.1f marker %.1f drain %.1f triggers %.1f sequences %.1f commit %.1f, in all %.1f", r.LockMS, r.MarkerMS, r.DrainMS, r.TriggersMS, r.SequencesMS, r.CommitMS, r.StallMS)
}

// stalled is a run that is switched again and again.
type stalled struct {
	*run
	from, to string // the URIs
}

// stallRun brings both servers to the point where a switch can follow, without the copy: the tables are empty.
func stallRun(b *testing.B, source, target *pgserver.Server, tables int) *stalled {
	b.Helper()
	ctx := b.Context()
	const schema = `do $$ begin for i in 1..%d loop
  execute format('create table t%%s (id bigserial primary key, n int, note text, at timestamptz default now())', i);
  if i %% 2 = 0 then execute format('select nextval(''t%%s_id_seq'')', i); end if;
end loop; end $$`
	for _, s := range []*pgserver.Server{source, target} {
		rows(b, s.URI("postgres"), fmt.Sprintf(schema, tables))
		rows(b, s.URI("postgres"), "vacuum analyze")
	}
	r := &stalled{run: &run{Config: Config{Verb: "test", Run: "many"}}, from: source.URI("postgres"), to: target.URI("postgres")}
	r.Source, r.Target = stallAddress(b, source), stallAddress(b, target)
	var err error
	if r.source, err = r.OpenSource(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.source.Close)
	if r.target, err = r.OpenTarget(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.target.Close)
	r.journal = journal.On(r.target, r.Run)
	r.Options = plan.Options{MaxWriteStall: 5 * time.Second, Jobs: 2}
	from, err := catalog.Read(ctx, r.source, plan.Source, r.Run)
	if err != nil {
		b.Fatal(err)
	}
	if r.sel, err = plan.Select(from, r.Options); err != nil {
		b.Fatal(err)
	}
	to := plan.Facts{Side: plan.Target, Version: r.target.Version(), SystemID: "1"}
	r.plan = Build(r.Run, "test", from, to, r.Options, r.sel, nil)
	journaled, _ := r.plan.Stage(plan.StageSchema)
	step, _ := journaled.Step(stepJournal)
	rows(b, target.URI("postgres"), step.Do.SQL)
	published, _ := r.plan.Stage(plan.StagePublish)
	for _, id := range []plan.StepID{"publish.schema", "publish.publication"} {
		step, _ := published.Step(id)
		rows(b, source.URI("postgres"), step.Do.SQL)
	}
	rows(b, source.URI("postgres"), "select pg_create_logical_replication_slot('"+r.Run.Object()+"', 'pgoutput')")
	rows(b, target.URI("postgres"), fmt.Sprintf("create subscription %[1]s connection '%[2]s' publication %[1]s with (create_slot = false, slot_name = '%[1]s', copy_data = false, synchronous_commit = 'on')",
		r.Run.Object(), source.URI("postgres")))
	finish, _ := r.plan.Stage(plan.StageFinish)
	if step, guarded := finish.Step(cutover.StepGuard); guarded {
		began := time.Now()
		if err := r.guard(ctx, step); err != nil {
			b.Fatal(err)
		}
		b.Logf("the guard was put on %d tables in %.1f s", tables, time.Since(began).Seconds())
	}
	return r
}

func stallAddress(b *testing.B, s *pgserver.Server) pg.Address {
	b.Helper()
	a, err := pg.ParseAddress(s.URI("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// round makes one switch while somebody writes, and makes the source the truth again.
func (r *stalled) round(b *testing.B) (float64, cutover.Result) {
	b.Helper()
	ctx := b.Context()
	stage, _ := r.plan.Stage(plan.StageSwitch)
	step, _ := stage.Step(cutover.StepUnchanged)
	definitions, err := cutover.Definitions(ctx, r.source, step.Do.SQL)
	if err != nil {
		b.Fatal(err)
	}
	w := &cutover.Switch{
		Run: r.Run, Subscriptions: []string{r.Run.Object()}, Stage: stage, Budget: r.Options.MaxWriteStall, Jobs: 1, Tables: len(r.sel.Fenced()), Connect: r.run, Definitions: definitions,
		Unchanged: r.filenodesUnchanged, Emit: func(plan.Event) {}, Traffic: nobody{}, Back: noBack{}, Prove: r.prove,
		Await: func(context.Context) error { return nil }, Quiet: func(context.Context) error { return nil },
		Readers: sequences.Readers(len(r.sel.Sequences)),
		Sequences: func(from []*pg.Source, to *pg.Target) cutover.Sequences {
			return &sequences.Carrier{Source: from[0], More: from[1:], Target: to, Of: r.sel.Sequences}
		},
	}
	writer := r.write(b)
	<-writer.began
	result, err := w.Do(ctx)
	if err != nil {
		b.Fatal(err)
	}
	stall := <-writer.stall
	if result.Tables != len(r.sel.Fenced()) || len(result.Sequences.([]sequences.Report)) != len(r.sel.Sequences) {
		b.Errorf("%d tables were fenced, %d sequences carried", result.Tables, len(result.Sequences.([]sequences.Report)))
	}
	rows(b, r.from, plan.OpenGate)
	if !r.Options.Guarded(r.sel) {
		for _, drop := range rows(b, r.from, cutover.GuardsStatement) {
			rows(b, r.from, drop)
		}
	}
	return stall, result
}

// writing is a client that writes every millisecond: on the old server until it is refused, then on the new one.
type writing struct {
	began chan struct{}
	stall chan float64 // milliseconds; one value, in the end
}

const enough = 200 // writes before the switch, and behind it

func (r *stalled) write(b *testing.B) writing {
	b.Helper()
	w := writing{make(chan struct{}), make(chan float64, 1)}
	from, to := client(b, r.from), client(b, r.to)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		last, longest, moved := time.Now(), time.Duration(0), 0
		for n := 0; moved < enough; n++ {
			<-tick.C
			s, sign := from, "n"
			if moved > 0 {
				s, sign = to, "-n"
			}
			// Negative keys on the new server: what the old one takes in the next round must not collide.
			_, err := s.Script(context.Background(), fmt.Sprintf("insert into t1 (id, n) select %s * 1000000 + %d, 1 from extract(epoch from clock_timestamp()) n", sign, n))
			switch {
			case err == nil:
				now := time.Now()
				if n > 1 {
					longest = max(longest, now.Sub(last))
				}
				last = now
				if moved > 0 {
					moved++
				}
			case pg.Code(err) == pg.CodeReadOnly && moved == 0:
				moved = 1
			default:
				b.Errorf("a write: %v", err)
				moved = enough
			}
			if n == enough {
				close(w.began)
			}
		}
		w.stall <- float64(longest.Microseconds()) / 1000
	}()
	return w
}

// nobody is no traffic at all.
type nobody struct{}

func (nobody) Hold(context.Context) error    { return nil }
func (nobody) Move(context.Context) error    { return nil }
func (nobody) Release(context.Context) error { return nil }
func (nobody) Back(context.Context) error    { return nil }

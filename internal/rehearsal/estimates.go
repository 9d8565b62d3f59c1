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

// Comparison is what the plan expected of something, beside what the rehearsal then measured.
type Comparison struct {
	Of        string  `json:"of"`        // copy, indexes, analyze, write stall, retained wal
	Unit      string  `json:"unit"`      // seconds or bytes
	Estimated float64 `json:"estimated"` // 0: the plan does not know
	Measured  float64 `json:"measured"`  // 0: not measured
	Basis     string  `json:"basis,omitempty"`
}

// The things that are compared.
const (
	ComparesCopy    = "copy"
	ComparesIndex   = "indexes"
	ComparesAnalyze = "analyze"
	ComparesStall   = "write stall"
	ComparesWAL     = "retained wal"
)

// Factor is by how much the estimate missed, in either direction: 1 is exact, 2 is twice or half. It is 0
// where there is nothing to compare.
func (c Comparison) Factor() float64 {
	if c.Estimated <= 0 || c.Measured <= 0 {
		return 0
	}
	return max(c.Estimated/c.Measured, c.Measured/c.Estimated)
}

func (c Comparison) String() string {
	show := func(v float64) string {
		switch {
		case v <= 0:
			return "not known"
		case c.Unit == "bytes":
			return plan.HumanBytes(int64(v))
		}
		return plan.HumanDuration(time.Duration(v * float64(time.Second)))
	}
	text := fmt.Sprintf("%-13s%10s estimated  %10s measured", c.Of, show(c.Estimated), show(c.Measured))
	if f := c.Factor(); f > 0 {
		text += fmt.Sprintf("   factor %.2f", f)
	}
	return text
}

// Comparison returns the comparison of that name.
func (v Verdict) Comparison(of string) Comparison {
	for _, c := range v.Estimates {
		if c.Of == of {
			return c
		}
	}
	return Comparison{Of: of}
}

// with adds the flags that check, plan and sync are to have.
func (w *walk) with(args ...string) []string { return append(args, w.config.With...) }

// plan makes the plan under the load that sync will have, too: what is measured for the estimates is then
// what there is.
func (w *walk) plan(ctx context.Context) error {
	secrets := w.stage.watchSecrets(ctx, 5*time.Millisecond)
	r, err := w.stage.Tool(ctx, w.with("plan", "--json")...)
	if err == nil {
		err = r.Err()
	}
	if err := w.endSecrets(secrets, err); err != nil {
		return err
	}
	p, err := plan.Decode(strings.NewReader(r.Stdout))
	if err != nil {
		return fmt.Errorf("read what plan printed: %w", err)
	}
	if t := p.Totals; t != nil {
		seconds := func(of string, e plan.Estimate) Comparison {
			return Comparison{Of: of, Unit: "seconds", Estimated: e.Seconds, Basis: e.Basis}
		}
		w.verdict.Estimates = []Comparison{
			seconds(ComparesCopy, t.Copy), seconds(ComparesIndex, t.Index), seconds(ComparesAnalyze, t.Analyze), seconds(ComparesStall, t.Stall),
			{Of: ComparesWAL, Unit: "bytes", Estimated: float64(t.RetainedWAL), Basis: t.WALBasis},
		}
	}
	return nil
}

func (w *walk) measured(of string, value float64) {
	for i := range w.verdict.Estimates {
		if w.verdict.Estimates[i].Of == of {
			w.verdict.Estimates[i].Measured = value
		}
	}
}

// stopwatch takes the times of a sync from its events, and the source's WAL while the rows are copied.
type stopwatch struct {
	source  *pg.Session
	began   time.Time // of stage subscribe
	copied  float64
	batches map[string][]span
	wal     int64 // position when the copy began, then what was written until it was done
	err     error
}

// span is from the begin of a step to its end.
type span struct{ from, to time.Time }

func (s *stopwatch) event(ctx context.Context) func(plan.Event) {
	s.batches = map[string][]span{}
	return func(e plan.Event) {
		switch {
		case e.Kind == plan.EventStage && e.Stage == plan.StageSubscribe:
			s.began, s.wal = e.Time, s.position(ctx)
		case e.Kind == plan.EventStep && (e.Step == "subscribe.copy" || e.Step == "subscribe.stream"):
			s.copied, s.wal = e.Time.Sub(s.began).Seconds(), s.position(ctx)-s.wal
		case e.Kind == plan.EventStep && e.Data["batch"] != nil:
			s.batch(fmt.Sprint(e.Data["batch"]), e)
		}
	}
}

func (s *stopwatch) batch(name string, e plan.Event) {
	s.batches[name] = append(s.batches[name], span{e.Time.Add(-time.Duration(e.Seconds * float64(time.Second))), e.Time})
}

func (s *stopwatch) position(ctx context.Context) (bytes int64) {
	if err := s.source.QueryRow(ctx, "select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::int8").Scan(&bytes); err != nil && s.err == nil {
		s.err = fmt.Errorf("read the source's WAL position: %w", err)
	}
	return bytes
}

// seconds is how long a step of the batches was under way; several may have been at a time.
func (s *stopwatch) seconds(batches ...string) (total float64) {
	for _, b := range batches {
		spans := slices.SortedFunc(slices.Values(s.batches[b]), func(a, b span) int { return a.from.Compare(b.from) })
		var end time.Time
		for _, sp := range spans {
			if sp.from.Before(end) {
				sp.from = end
			}
			if sp.to.After(end) {
				total, end = total+sp.to.Sub(sp.from).Seconds(), sp.to
			}
		}
	}
	return total
}

// compare puts what the stopwatch saw beside the estimates.
func (w *walk) compare(s *stopwatch) {
	w.measured(ComparesCopy, s.copied)
	w.measured(ComparesIndex, s.seconds("keys", "indexes", "foreign-keys"))
	w.measured(ComparesAnalyze, s.seconds("analyze"))
	w.measured(ComparesWAL, float64(s.wal))
}

package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// allowed are the errors that a switch without a pooler makes: read-only and the fence, a shutdown, a broken
// connection.
func allowed(code string) bool {
	return code == "25006" || code == "57P01" || strings.HasPrefix(code, "08")
}

// windowEnd is when the last client had moved.
func (w *walk) windowEnd() time.Duration { return max(w.flipped, w.load.record.moved) }

// judgeErrors counts the failed attempts that are not the switch's own.
func (w *walk) judgeErrors(context.Context) (wrong []string, good string, err error) {
	s := &w.verdict.Ledger
	s.FailedByCode = map[string]int{}
	last := map[key]outcome{}
	for _, a := range w.load.record.attempts {
		last[key{a.Client, a.N}] = a.Outcome
		if a.Outcome != failed {
			continue
		}
		s.Failed++
		s.FailedByCode[a.Code]++
		inWindow := a.End >= w.cutover && a.Start <= w.windowEnd()
		if !allowed(a.Code) || !inWindow {
			wrong = append(wrong, fmt.Sprintf("%v failed on the %s at %.3f s (window %.3f to %.3f s): %s %s", key{a.Client, a.N}, a.Side,
				a.End.Seconds(), w.cutover.Seconds(), w.windowEnd().Seconds(), a.Code, a.Message))
		}
	}
	for _, o := range last {
		if o == failed {
			s.Abandoned++
		}
	}
	if s.Abandoned > 0 {
		return append(wrong, fmt.Sprintf("%d transactions failed to the end", s.Abandoned)), "", nil
	}
	good = fmt.Sprintf("%d attempts failed, %d beyond those that the switch itself refused (budget %d)", s.Failed, len(wrong), w.config.Budget.Errors)
	if len(wrong) <= w.config.Budget.Errors {
		return nil, good, nil
	}
	return wrong, good, nil
}

// gap is the longest time between two of the moments, and where it is; only gaps that overlap from…to count.
func gap(moments []time.Duration, from, to time.Duration) (longest, at time.Duration) {
	slices.Sort(moments)
	for i := 1; i < len(moments); i++ {
		if d := moments[i] - moments[i-1]; d > longest && moments[i] >= from && moments[i-1] <= to {
			longest, at = d, moments[i-1]
		}
	}
	return longest, at
}

// judgeStall measures the longest time without an acknowledged write, over the whole load.
func (w *walk) judgeStall(context.Context) (wrong []string, good string, err error) {
	moments := []time.Duration{0, w.ended}
	var inside, outside []time.Duration
	for _, a := range w.load.record.attempts {
		if a.Outcome != acknowledged {
			continue
		}
		moments = append(moments, a.End)
		if latency := a.End - a.Due; a.Due >= w.stopped && a.Due <= w.windowEnd() {
			inside = append(inside, latency)
		} else {
			outside = append(outside, latency)
		}
	}
	s := &w.verdict.Switch
	s.Inside, s.Outside = latencies(inside), latencies(outside)
	stall, _ := gap(moments, w.cutover, w.windowEnd()+time.Second)
	s.StallMS = milliseconds(stall)
	longest, at := gap(moments, 0, w.ended)
	good = fmt.Sprintf("longest time without an acknowledged write: %.0f ms in the switch, %.0f ms at all (budget %s)",
		milliseconds(stall), milliseconds(longest), w.config.Budget.WriteStall)
	if longest > w.config.Budget.WriteStall {
		wrong = []string{fmt.Sprintf("no write was acknowledged for %.0f ms from %.3f s on (cutover began at %.3f s); the budget is %s",
			milliseconds(longest), at.Seconds(), w.cutover.Seconds(), w.config.Budget.WriteStall)}
	}
	return wrong, good, nil
}

// judgeReads is the same for reads, and holds that what was acknowledged is never unseen again.
func (w *walk) judgeReads(context.Context) (wrong []string, good string, err error) {
	reads := w.load.record.reads
	w.verdict.Ledger.Reads = len(reads)
	if len(reads) == 0 {
		if w.config.Readers == 0 {
			return nil, "no readers", nil
		}
		return []string{"no read was made"}, "", nil
	}
	moments := []time.Duration{w.ended}
	var inside []time.Duration
	for _, r := range reads {
		if r.Unseen != "" {
			wrong = append(wrong, fmt.Sprintf("acknowledged, and not seen on the %s at %.3f s: %s", r.Side, r.End.Seconds(), r.Unseen))
		}
		if r.Err != "" {
			wrong = append(wrong, fmt.Sprintf("a read failed on the %s at %.3f s: %s", r.Side, r.End.Seconds(), r.Err))
			continue
		}
		moments = append(moments, r.End)
		if r.Due >= w.stopped && r.Due <= w.windowEnd() {
			inside = append(inside, r.End-r.Due)
		}
	}
	stall, _ := gap(moments, w.cutover, w.windowEnd()+time.Second)
	longest, at := gap(moments, 0, w.ended)
	w.verdict.Switch.ReadsMS, w.verdict.Switch.ReadInside = milliseconds(stall), latencies(inside)
	if longest > w.config.Budget.WriteStall {
		wrong = append(wrong, fmt.Sprintf("no read was answered for %.0f ms from %.3f s on", milliseconds(longest), at.Seconds()))
	}
	return wrong, fmt.Sprintf("%d reads, none missed an acknowledged row; longest time without an answer %.0f ms in the switch", len(reads), milliseconds(stall)), nil
}

// judgeLoad holds that the rehearsal was one: writes were attempted while they were stopped, and the load
// kept its pace outside of that.
func (w *walk) judgeLoad(context.Context) (wrong []string, good string, err error) {
	first := map[key]attempt{}
	arrived, due := 0, 0
	for _, a := range w.load.record.attempts {
		if a.Start <= w.flipped && a.End >= w.stopped {
			w.verdict.Switch.Attempts++
		}
		k := key{a.Client, a.N}
		if f, ok := first[k]; !ok || a.Start < f.Start {
			first[k] = a
		}
		if a.Outcome == acknowledged && a.Due >= w.ready && a.Due < w.ended && a.Client < w.config.Clients { // not who knocks
			arrived++
		}
	}
	if w.verdict.Switch.Attempts == 0 {
		wrong = append(wrong, "no write was attempted while writes were stopped")
	}
	var late time.Duration
	for _, a := range first {
		if a.Due < w.ready || (a.Due >= w.cutover-time.Second && a.Due <= w.windowEnd()+time.Second) {
			continue
		}
		late = max(late, a.Start-a.Due)
	}
	if late > time.Second {
		wrong = append(wrong, fmt.Sprintf("the load generator fell behind: a transaction started %.1f s late", late.Seconds()))
	}
	due = int(w.config.Rate * (w.ended - w.ready).Seconds())
	if float64(arrived) < 0.9*float64(due) {
		wrong = append(wrong, fmt.Sprintf("the load generator fell behind: %d of %d transactions that were due", arrived, due))
	}
	good = fmt.Sprintf("%d writes attempted while writes were stopped; %.0f tx/s acknowledged, latest start %.0f ms late",
		w.verdict.Switch.Attempts, float64(arrived)/(w.ended-w.ready).Seconds(), milliseconds(late))
	return wrong, good, nil
}

func latencies(d []time.Duration) Latencies {
	if len(d) == 0 {
		return Latencies{}
	}
	slices.Sort(d)
	at := func(q float64) float64 { return milliseconds(d[min(len(d)-1, int(q*float64(len(d))))]) }
	return Latencies{N: len(d), P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: milliseconds(d[len(d)-1])}
}

package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// allowed are the errors that a switch without a pooler makes: read-only and the fence, a shutdown, a broken
// connection.
func allowed(code string) bool {
	return code == "25006" || code == "57P01" || strings.HasPrefix(code, "08")
}

// endWindows finds when, at each switch, the last client that had to move by itself had moved.
func (w *walk) endWindows() {
	for i, t := range w.turns {
		t.end = t.released
		next := w.ended
		if i+1 < len(w.turns) {
			next = w.turns[i+1].begun
		}
		for _, m := range w.load.record.moves {
			if m > t.end && m < next {
				t.end = m
			}
		}
	}
}

// inWindow tells whether something that went on from…to met a switch.
func (w *walk) inWindow(from, to time.Duration) bool {
	for _, t := range w.turns {
		if to >= t.begun && from <= t.end {
			return true
		}
	}
	return false
}

// judgeErrors counts the attempts that failed without the switch's making them fail. Through a pooler none may, nor
// may a client be left without knowing.
func (w *walk) judgeErrors(context.Context) (wrong []string, good string, err error) {
	s := &w.verdict.Ledger
	s.FailedByCode = map[string]int{}
	last, met := map[key]outcome{}, map[key]bool{}
	for _, a := range w.load.record.attempts {
		k := key{a.Client, a.N}
		last[k] = a.Outcome
		pooled := w.config.Pooler != PoolerNone && !a.Direct
		if a.Outcome == acknowledged || a.Outcome == unknown && !pooled {
			continue
		}
		met[k] = true
		if a.Outcome == failed {
			s.Failed++
		}
		s.FailedByCode[a.Code]++
		if pooled || !allowed(a.Code) || !w.inWindow(a.Start, a.End) {
			wrong = append(wrong, fmt.Sprintf("%v failed on the %s at %.3f s (%s): %s %s", k, a.Side, a.End.Seconds(), w.windows(), a.Code, a.Message))
		}
		if pooled {
			s.FailedPooled++
		}
	}
	s.FailedTransactions = len(met)
	for _, o := range last {
		if o == failed {
			s.Abandoned++
		}
	}
	if s.Abandoned > 0 {
		return append(wrong, fmt.Sprintf("%d transactions failed to the end", s.Abandoned)), "", nil
	}
	good = fmt.Sprintf("%d attempts failed, %d beyond those that the switch itself refused (budget %d)", s.Failed, len(wrong), w.config.Budget.Errors)
	if w.config.Pooler != PoolerNone {
		good = fmt.Sprintf("%d attempts failed through the pooler, %d beside it, of those %d beyond what the switch itself refused (budget %d)",
			s.FailedPooled, s.Failed-s.FailedPooled, len(wrong)-s.FailedPooled, w.config.Budget.Errors)
	}
	if len(wrong) <= w.config.Budget.Errors {
		return nil, good, nil
	}
	return wrong, good, nil
}

// windows says when the switches were, or how many.
func (w *walk) windows() string {
	if len(w.turns) > 1 {
		return fmt.Sprintf("%d switches", len(w.turns))
	}
	return fmt.Sprintf("window %.3f to %.3f s", w.turns[0].begun.Seconds(), w.turns[0].end.Seconds())
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

// judgeStall measures the longest time without an acknowledged write, over the whole load. Who goes round the pooler
// does not make a pause of the pooler shorter.
func (w *walk) judgeStall(context.Context) (wrong []string, good string, err error) {
	moments := []time.Duration{0, w.ended}
	var outside []time.Duration
	for _, a := range w.load.record.attempts {
		if a.Outcome != acknowledged || (w.config.Pooler != PoolerNone && a.Direct) {
			continue
		}
		moments = append(moments, a.End)
	}
	inside := make([][]time.Duration, len(w.turns))
	for _, a := range w.load.record.attempts {
		if a.Outcome != acknowledged {
			continue
		}
		if i := w.turnAt(a.Due, a.End); i >= 0 {
			inside[i] = append(inside[i], a.End-a.Due)
		} else if a.Due >= w.ready {
			outside = append(outside, a.End-a.Due)
		}
	}
	slices.Sort(moments)
	var worst time.Duration
	for i, t := range w.turns {
		stall, _ := gap(moments, t.begun, t.end+time.Second)
		worst = max(worst, stall)
		t.StallMS, t.Inside, t.Outside = milliseconds(stall), latencies(inside[i]), latencies(outside)
	}
	w.judgeFloors(moments)
	longest, at := gap(moments, 0, w.ended)
	good = fmt.Sprintf("longest time without an acknowledged write: %.0f ms in %s, %.0f ms at all (budget %s)",
		milliseconds(worst), plural(len(w.turns), "the switch", "%d switches"), milliseconds(longest), w.config.Budget.WriteStall)
	if longest > w.config.Budget.WriteStall {
		wrong = []string{fmt.Sprintf("no write was acknowledged for %.0f ms from %.3f s on (%s); the budget is %s",
			milliseconds(longest), at.Seconds(), w.windows(), w.config.Budget.WriteStall)}
	}
	return wrong, good, nil
}

// turnAt returns the switch that a request met which was due and was answered, or -1: it waited while writes stood
// still, or was the one that met their end.
func (w *walk) turnAt(due, answered time.Duration) int {
	for i, t := range w.turns {
		if answered >= t.stopped && due <= t.end {
			return i
		}
	}
	return -1
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
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
	inside := make([][]time.Duration, len(w.turns))
	var outside []time.Duration
	for _, r := range reads {
		if r.Unseen != "" {
			wrong = append(wrong, fmt.Sprintf("acknowledged, and not seen on the %s at %.3f s: %s", r.Side, r.End.Seconds(), r.Unseen))
		}
		if r.Err != "" {
			wrong = append(wrong, fmt.Sprintf("a read failed on the %s at %.3f s: %s", r.Side, r.End.Seconds(), r.Err))
			continue
		}
		moments = append(moments, r.End)
		if i := w.turnAt(r.Due, r.End); i >= 0 {
			inside[i] = append(inside[i], r.End-r.Due)
		} else if r.Due >= w.ready {
			outside = append(outside, r.End-r.Due)
		}
	}
	slices.Sort(moments)
	var worst time.Duration
	for i, t := range w.turns {
		stall, _ := gap(moments, t.begun, t.end+time.Second)
		worst = max(worst, stall)
		t.ReadsMS, t.ReadInside, t.ReadOutside = milliseconds(stall), latencies(inside[i]), latencies(outside)
	}
	longest, at := gap(moments, 0, w.ended)
	if longest > w.config.Budget.WriteStall {
		wrong = append(wrong, fmt.Sprintf("no read was answered for %.0f ms from %.3f s on", milliseconds(longest), at.Seconds()))
	}
	return wrong, fmt.Sprintf("%d reads, none missed an acknowledged row; longest time without an answer %.0f ms in %s", len(reads), milliseconds(worst),
		plural(len(w.turns), "the switch", "%d switches")), nil
}

// behindSchedule is how late a request may start, and keptPace what part of those that were due must have come.
const (
	behindSchedule = time.Second
	keptPace       = 0.9
)

// judgeLoad holds that the rehearsal was one: writes were attempted while they were stopped, and the load
// kept its pace outside of that.
func (w *walk) judgeLoad(context.Context) (wrong []string, good string, err error) {
	first := map[key]attempt{}
	arrived := 0
	for _, a := range w.load.record.attempts {
		for _, t := range w.turns {
			if a.Start <= t.released && a.End >= t.stopped {
				t.Attempts++
			}
		}
		k := key{a.Client, a.N}
		if f, ok := first[k]; !ok || a.Start < f.Start {
			first[k] = a
		}
		if a.Outcome == acknowledged && a.Due >= w.ready && a.Due < w.ended && a.Client < w.config.Clients { // not who knocks
			arrived++
		}
	}
	for _, t := range w.turns {
		if t.Attempts == 0 {
			wrong = append(wrong, "no write was attempted while writes were stopped")
		}
	}
	var late time.Duration
	for _, a := range first {
		if a.Due >= w.ready && !w.inWindow(a.Due-time.Second, a.Due+time.Second) {
			late = max(late, a.Start-a.Due)
		}
	}
	answered := 0
	for _, r := range w.load.record.reads {
		if r.Due < w.ready || r.Due >= w.ended {
			continue
		}
		answered++
		if !w.inWindow(r.Due-time.Second, r.Due+time.Second) {
			late = max(late, r.Start-r.Due)
		}
	}
	if late > behindSchedule {
		wrong = append(wrong, fmt.Sprintf("the load generator fell behind: a transaction started %.1f s late", late.Seconds()))
	}
	seconds := (w.ended - w.ready).Seconds()
	if due := int(w.config.Rate * seconds); float64(arrived) < keptPace*float64(due) {
		wrong = append(wrong, fmt.Sprintf("the load generator fell behind: %d of %d transactions that were due", arrived, due))
	}
	if due := int(w.config.ReadRate * seconds); w.config.Readers > 0 && float64(answered) < keptPace*float64(due) {
		wrong = append(wrong, fmt.Sprintf("the load generator fell behind: %d of %d reads that were due", answered, due))
	}
	good = fmt.Sprintf("%s writes attempted while writes were stopped; %.0f tx/s acknowledged, %.0f reads/s, latest start %.0f ms late",
		w.attempts(), float64(arrived)/seconds, float64(answered)/seconds, milliseconds(late))
	return wrong, good, nil
}

// attempts says how many there were in each switch.
func (w *walk) attempts() string {
	least, most := w.turns[0].Attempts, w.turns[0].Attempts
	for _, t := range w.turns {
		least, most = min(least, t.Attempts), max(most, t.Attempts)
	}
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

func latencies(d []time.Duration) Latencies {
	if len(d) == 0 {
		return Latencies{}
	}
	slices.Sort(d)
	at := func(q float64) float64 { return milliseconds(d[min(len(d)-1, int(q*float64(len(d))))]) }
	return Latencies{N: len(d), P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: milliseconds(d[len(d)-1])}
}

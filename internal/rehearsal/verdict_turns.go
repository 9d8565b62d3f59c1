package rehearsal

import (
	"fmt"
	"slices"
	"strings"
)

// Spread is the middle and the largest of several measurements.
type Spread struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// NewSpread takes the values in any order; of none everything is 0.
func NewSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	return Spread{len(s), (s[(len(s)-1)/2] + s[len(s)/2]) / 2, s[len(s)-1]}
}

// String shows both.
func (s Spread) String() string {
	return fmt.Sprintf("median %.1f, max %.1f ms (%d)", s.Median, s.Max, s.N)
}

// Turns are all switches of a run, each direction on its own. Times are in milliseconds.
type Turns struct {
	Cutover  Direction       `json:"cutover"`
	Rollback Direction       `json:"rollback"`
	Each     []SwitchSummary `json:"each"` // in their order
}

// Direction is what the switches of one direction cost.
type Direction struct {
	Stall   Spread            `json:"stall_ms"`                  // longest time without an acknowledged write
	Reads   Spread            `json:"reads_ms"`                  // the same for reads
	Slowest Spread            `json:"slowest_ms"`                // the slowest write of each
	Parts   map[string]Spread `json:"parts"`                     // as the tool measured them
	Times   float64           `json:"times_the_floor,omitempty"` // median stall ÷ floor
}

// Floor is what no switch through a pooler can be faster than, measured in the same run under the same load, in
// milliseconds. What clients see of it is the longest time without an acknowledged write.
type Floor struct {
	Pause  Spread `json:"pause_resume_ms"`  // seen by clients: PAUSE, and RESUME at once
	Script Spread `json:"script_ms"`        // the hand-written fence script by itself, from its first lock to its end
	Hand   Spread `json:"paused_script_ms"` // seen by clients: PAUSE, the script, RESUME
}

// Total is the floor: PAUSE and RESUME with nothing between, plus the script, the median of each.
func (f Floor) Total() float64 { return f.Pause.Median + f.Script.Median }

// gatherTurns puts the switches of each direction together.
func (w *walk) gatherTurns() {
	v := &w.verdict
	v.Switch = w.last().SwitchSummary
	v.Switch.Killed += w.killed
	all := &Turns{}
	for _, t := range w.turns {
		all.Each = append(all.Each, t.SwitchSummary)
	}
	all.Cutover, all.Rollback = v.direction(all.Each, there), v.direction(all.Each, back)
	if len(w.turns) > 1 || v.Floor != nil {
		v.Turns = all
	}
}

func (v Verdict) direction(each []SwitchSummary, name string) Direction {
	var stall, reads, slowest []float64
	parts := map[string][]float64{}
	for _, s := range each {
		if s.Direction != name {
			continue
		}
		stall, reads, slowest = append(stall, s.StallMS), append(reads, s.ReadsMS), append(slowest, s.Inside.Max)
		for k, ms := range s.Parts {
			parts[k] = append(parts[k], ms)
		}
	}
	d := Direction{Stall: NewSpread(stall), Reads: NewSpread(reads), Slowest: NewSpread(slowest), Parts: map[string]Spread{}}
	for k, values := range parts {
		d.Parts[k] = NewSpread(values)
	}
	if v.Floor != nil && v.Floor.Total() > 0 {
		d.Times = d.Stall.Median / v.Floor.Total()
	}
	return d
}

// around says what else the load was.
func (v Verdict) around() string {
	if v.Pooler != PoolerPgBouncer {
		return ""
	}
	return fmt.Sprintf(", %g reads/s, PgBouncer", v.ReadRate)
}

func (v Verdict) writeTurns(b *strings.Builder) {
	if f := v.Floor; f != nil {
		fmt.Fprintf(b, "%-11s%.1f ms: PAUSE and RESUME with nothing between, seen by clients (%s), plus the hand-written fence script (%s)\n", "floor", f.Total(), f.Pause, f.Script)
		fmt.Fprintf(b, "%-11sPAUSE, the script, RESUME as one, seen by clients: %s\n", "", f.Hand)
	}
	if v.Turns == nil {
		return
	}
	for _, d := range []struct {
		name string
		Direction
	}{{there, v.Turns.Cutover}, {back, v.Turns.Rollback}} {
		if d.Stall.N == 0 {
			continue
		}
		fmt.Fprintf(b, "%-11s%d times: writes stalled %s   reads %s   slowest write %s\n", d.name, d.Stall.N, d.Stall, d.Reads, d.Slowest)
		if v.Floor != nil {
			fmt.Fprintf(b, "%-11smedian stall %.1f ms = %.1f × the floor\n", "", d.Stall.Median, d.Times)
		}
		medians := map[string]float64{}
		for k, s := range d.Parts {
			medians[k] = s.Median
		}
		fmt.Fprintf(b, "%-11smedians of the parts: %s\n", "", parts(medians))
	}
}

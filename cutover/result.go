package cutover

import (
	"encoding/json"
	"fmt"

	"pgleap/plan"
)

// Result is what the switch measured, in milliseconds.
type Result struct {
	FenceLSN    string  `json:"fence_lsn"`                    // behind every writer that was let through
	Repaired    bool    `json:"repaired,omitempty"`           // the fence of an earlier, killed attempt stood already
	DrainedLSN  string  `json:"drained_lsn,omitempty"`        // of the marker that was drained anew then
	FenceBefore bool    `json:"fence_at_or_before,omitempty"` // FenceLSN is that marker's, and the fence was committed before it
	Attempts    int     `json:"attempts"`
	Tables      int     `json:"tables"`
	LockMS      float64 `json:"lock_ms"`      // the last attempt's
	MarkerMS    float64 `json:"marker_ms"`    // until the marker is committed
	TriggersMS  float64 `json:"triggers_ms"`  // side by side with the next two
	DrainMS     float64 `json:"drain_ms"`     // from the marker's commit until it is seen on the target
	SequencesMS float64 `json:"sequences_ms"` // read and set
	CommitMS    float64 `json:"commit_ms"`
	HoldMS      float64 `json:"hold_ms,omitempty"`    // PAUSE of the poolers
	MoveMS      float64 `json:"move_ms,omitempty"`    // pointing them at the target, beside the drain
	BackMS      float64 `json:"back_ms,omitempty"`    // the slot of the way back, behind the drain
	ReleaseMS   float64 `json:"release_ms,omitempty"` // RESUME of the poolers

	Copied       int     `json:"copied,omitempty"`        // tables copied in the switch
	LargeObjects int64   `json:"large_objects,omitempty"` // copied in the switch
	CopiedBytes  int64   `json:"copied_bytes,omitempty"`  // of COPY's text
	CopyMS       float64 `json:"copy_ms,omitempty"`       // all copies, side by side with the drain
	StallMS      float64 `json:"stall_ms"`                // from the first lock asked for to the release
	Sequences    any     `json:"sequences"`
	BackLSN      string  `json:"back_lsn,omitempty"` // from where on the way back's slot gives what is written on the side that took over

	Refusals []Refusal `json:"refusals,omitempty"` // writes that were tried behind the fence
}

// String is the result in a line.
func (r Result) String() string {
	if r.Repaired {
		return fmt.Sprintf("the fence stood already; drained again in %.0f ms", r.DrainMS)
	}
	copied := ""
	if r.CopyMS > 0 {
		copied = fmt.Sprintf(" · %s and %s copied in %.0f ms", plan.Plural(r.Copied, "table"), plan.Plural(int(r.LargeObjects), "large object"), r.CopyMS)
	}
	return fmt.Sprintf("fence %.0f ms · drain %.0f ms · sequences %.0f ms%s · commit %.0f ms", r.LockMS+r.TriggersMS, r.DrainMS, r.SequencesMS, copied, r.CommitMS)
}

// data is the result as an event carries it.
func (r Result) data() map[string]any {
	m := map[string]any{}
	if text, err := json.Marshal(r); err == nil {
		_ = json.Unmarshal(text, &m)
	}
	return m
}

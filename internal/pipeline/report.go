package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"pgleap/cutover"
	"pgleap/plan"
	"pgleap/sequences"
)

// Outcome says how a switch ended.
type Outcome string

// The outcomes of a switch.
const (
	Switched  Outcome = "switched"  // the side that takes over is the truth
	Stopped   Outcome = "stopped"   // something failed at the point of no return, or behind it
	Undone    Outcome = "undone"    // the side that is left is writable again
	Unclear   Outcome = "unclear"   // it could not be asked
	Rehearsed Outcome = "rehearsed" // so it is, as was asked for
)

// Report is what one cutover, rollback or rehearsal of one did: everything that is told of it afterwards. It holds
// no password.
type Report struct {
	Tool      string       `json:"tool"`
	Run       plan.RunID   `json:"run"`
	Verb      string       `json:"verb"`
	Rehearsal bool         `json:"rehearsal,omitempty"` // whatever became of it, nothing was to be switched
	Outcome   Outcome      `json:"outcome"`
	Error     string       `json:"error,omitempty"`
	By        string       `json:"by"` // user@host that ran pgleap
	Began     time.Time    `json:"began"`
	Ended     time.Time    `json:"ended"`
	Left      ReportServer `json:"left"`
	TakesOver ReportServer `json:"takes_over"`
	Budget    float64      `json:"max_write_stall_seconds"`
	Waits     []Wait       `json:"waits,omitempty"` // before writes stopped
	// Earlier: the switch was made by a process that was killed behind it; its moments are lost.
	Earlier bool            `json:"earlier,omitempty"`
	Switch  *cutover.Result `json:"switch,omitempty"`
	// Sequences are those of Switch, typed.
	Sequences []sequences.Report `json:"-"`
	Timeline  []Moment           `json:"timeline"`
	Applied   *Applied           `json:"applied,omitempty"`
	Clients   *ClientsReport     `json:"clients,omitempty"`
	LeftOut   int                `json:"left_out,omitempty"` // steps that copy in the switch, and that a rehearsal leaves out
	Warnings  []plan.Finding     `json:"warnings,omitempty"` // that the run was begun with
	Notes     []string           `json:"notes,omitempty"`    // what was told meanwhile
	WayBack   string             `json:"way_back"`
}

// ReportServer is one of the two servers.
type ReportServer struct {
	Side     plan.Side `json:"side"`
	Address  string    `json:"address"` // host:port/database
	User     string    `json:"user"`    // whom pgleap connected as
	Version  string    `json:"version"`
	SystemID string    `json:"system_id"`
}

// Moment is an instant of the switch.
type Moment struct {
	At   time.Time `json:"at"`
	MS   float64   `json:"ms"` // since the clients were held
	What string    `json:"what"`
}

// Applied is what the side that takes over says it had applied, right after the release, beside the fence LSN. The
// proof is the marker: nothing was released before it was there.
type Applied struct {
	LatestEndLSN string `json:"latest_end_lsn,omitempty"` // that the subscription's worker has told the publisher
	OriginLSN    string `json:"origin_lsn,omitempty"`     // of the last transaction that was applied; "" where we may not ask
}

// unpooledWords are those that differ where no pooler holds the clients; "" is no moment then.
var unpooledWords = map[string]string{
	"held":     "the fence begins: from here on writers wait for its locks",
	"moved":    "",
	"released": "the side that takes over takes the writes",
}

// momentWords are the points of the switch that the timeline tells, in words.
var momentWords = map[string]string{
	"prepared":      "everything is prepared, nobody waits yet",
	"held":          "the clients are held",
	"locked":        "every table is locked against writers",
	"marked":        "the marker is committed",
	"moved":         "the traffic points at the side that takes over",
	"drained":       "everything written is on the side that takes over",
	"before-commit": "the fence is about to be committed",
	"committed":     "the fence is committed: the point of no return",
	"released":      "the clients go on",
	"given-back":    "the locks are given back",
}

// WriteJSON writes the report as one JSON document.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// typeSequences fills Sequences: the switch carries whatever its consumer has put there.
func (r *Report) typeSequences() error {
	if r.Switch == nil || r.Switch.Sequences == nil {
		return nil
	}
	text, err := json.Marshal(r.Switch.Sequences)
	if err == nil {
		err = json.Unmarshal(text, &r.Sequences)
	}
	if err != nil {
		return fmt.Errorf("read the report's sequences: %w", err)
	}
	return nil
}

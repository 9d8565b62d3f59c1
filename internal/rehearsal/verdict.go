package rehearsal

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is what a rehearsal found out.
type Verdict struct {
	Passes     bool          `json:"passed"`
	From       string        `json:"from"` // the source's version, such as 13.23
	To         string        `json:"to"`
	Scenario   string        `json:"scenario"`
	Seed       int64         `json:"seed"`
	Clients    int           `json:"clients"`
	Readers    int           `json:"readers"`
	Rate       float64       `json:"rate"`      // transactions per second, open loop
	ReadRate   float64       `json:"read_rate"` // reads per second, open loop
	Pooler     Pooler        `json:"pooler"`
	Seconds    float64       `json:"seconds"`
	Budget     Budget        `json:"budget"`
	Phases     []Phase       `json:"phases"`
	Estimates  []Comparison  `json:"estimates,omitempty"` // of the plan, beside what was measured
	Switch     SwitchSummary `json:"switch"`              // the last one
	Turns      *Turns        `json:"turns,omitempty"`     // when there was more than one
	Floor      *Floor        `json:"floor,omitempty"`
	Ledger     LedgerSummary `json:"ledger"`
	Assertions []Assertion   `json:"assertions"`
	Report     string        `json:"report,omitempty"` // the folder with the files
}

// Assertion is one thing that must hold; its id is stable.
type Assertion struct {
	ID      string  `json:"id"`
	Holds   bool    `json:"holds"`
	Detail  string  `json:"detail"`
	Seconds float64 `json:"seconds"` // how long the judgement took
}

// Phase is one command of the walk, as its user sees it.
type Phase struct {
	Name    string  `json:"name"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

// SwitchSummary is what the switch cost. Times are in milliseconds: that is their size.
type SwitchSummary struct {
	Direction   string             `json:"direction"` // cutover or rollback
	Seconds     float64            `json:"seconds"`   // that the command took, all in all
	FenceLSN    string             `json:"fence_lsn"`
	Parts       map[string]float64 `json:"parts"`        // as the tool measured them: lock_ms, drain_ms, …
	HarnessMS   float64            `json:"harness_ms"`   // part of the stall that is ours: the snapshot before clients move
	StallMS     float64            `json:"stall_ms"`     // longest time without an acknowledged write, around the switch
	ReadsMS     float64            `json:"reads_ms"`     // the same for reads
	Outside     Latencies          `json:"outside"`      // writes before and after
	Inside      Latencies          `json:"inside"`       // writes that waited in the switch, of all clients
	ReadInside  Latencies          `json:"read_inside"`  // reads that did
	ReadOutside Latencies          `json:"read_outside"` // and before and after
	Attempts    int                `json:"attempts"`     // of writes while writes were stopped
	Killed      int                `json:"killed"`       // times that the tool died by a signal and was run again
}

// Latencies count from the moment a request was due, in milliseconds.
type Latencies struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// LedgerSummary counts the clients' transactions.
type LedgerSummary struct {
	Acknowledged       int            `json:"acknowledged"`
	OnSource           int            `json:"on_source"` // acknowledged by the old server
	OnTarget           int            `json:"on_target"`
	Found              int            `json:"found"` // acknowledged and on the target
	Lost               int            `json:"lost"`
	Duplicated         int            `json:"duplicated"`
	Strange            int            `json:"strange"` // rows on the target that nobody was acknowledged, or other than acknowledged
	Unknown            int            `json:"unknown"`
	UnknownPresent     int            `json:"unknown_present"`
	Failed             int            `json:"failed"`              // attempts that failed, all of them
	FailedPooled       int            `json:"failed_pooled"`       // attempts through a pooler that failed, or whose outcome nobody knows
	FailedTransactions int            `json:"failed_transactions"` // with at least one such attempt
	Twice              int            `json:"numbers_twice"`       // of sequences, handed out more than once
	FailedByCode       map[string]int `json:"failed_by_code,omitempty"`
	Abandoned          int            `json:"abandoned"` // transactions still failing when the load ended
	Reads              int            `json:"reads"`
}

// Passed tells whether every assertion holds. A verdict without any has not passed.
func (v Verdict) Passed() bool {
	for _, a := range v.Assertions {
		if !a.Holds {
			return false
		}
	}
	return len(v.Assertions) > 0
}

// Assertion returns the assertion with that id.
func (v Verdict) Assertion(id string) (Assertion, bool) {
	for _, a := range v.Assertions {
		if a.ID == id {
			return a, true
		}
	}
	return Assertion{}, false
}

// WriteJSON writes the verdict as one document.
func (v Verdict) WriteJSON(w io.Writer) error {
	v.Passes = v.Passed()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write verdict: %w", err)
	}
	return nil
}

// WriteText writes the verdict for people.
func (v Verdict) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pgleap rehearse  %s → %s   %s   seed %d   %d clients, %g tx/s open loop%s\n", v.From, v.To, v.Scenario, v.Seed, v.Clients, v.Rate, v.around())
	for _, p := range v.Phases {
		fmt.Fprintf(&b, "%-11s%-52s %8.1f s\n", p.Name, p.Detail, p.Seconds)
	}
	for i, c := range v.Estimates {
		fmt.Fprintf(&b, "%-11s%s\n", map[bool]string{true: "estimates"}[i == 0], c)
	}
	s, l := v.Switch, v.Ledger
	if s.FenceLSN != "" {
		fmt.Fprintf(&b, "%-11s%s\n", "switch", parts(s.Parts))
		fmt.Fprintf(&b, "%-11swrites stalled %.0f ms (budget %s; %.0f ms of it the harness's snapshot)   reads %.0f ms\n", "",
			s.StallMS, v.Budget.WriteStall, s.HarnessMS, s.ReadsMS)
		fmt.Fprintf(&b, "%-11swrites   outside %s\n%-11s         inside  %s\n", "", s.Outside, "", s.Inside)
		if v.Pooler == PoolerPgBouncer {
			fmt.Fprintf(&b, "%-11sreads    outside %s\n%-11s         inside  %s\n", "", s.ReadOutside, "", s.ReadInside)
		}
	}
	v.writeTurns(&b)
	fmt.Fprintf(&b, "%-11s%d acknowledged (%d old, %d new)  %d found  %d lost  %d duplicated  %d failed  %d unknown → %d present\n",
		"ledger", l.Acknowledged, l.OnSource, l.OnTarget, l.Found, l.Lost, l.Duplicated, l.Failed, l.Unknown, l.UnknownPresent)
	held := 0
	for _, a := range v.Assertions {
		mark := "✗"
		if a.Holds {
			mark, held = "✓", held+1
		}
		fmt.Fprintf(&b, "%s %-9s%s\n", mark, a.ID, strings.ReplaceAll(a.Detail, "\n", "\n"+strings.Repeat(" ", 11)))
	}
	word := "FAIL"
	if v.Passed() {
		word = "PASS"
	}
	fmt.Fprintf(&b, "%s  %d of %d", word, held, len(v.Assertions))
	if v.Report != "" {
		fmt.Fprintf(&b, "   report: %s", v.Report)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// String shows the quantiles.
func (l Latencies) String() string {
	return fmt.Sprintf("p50 %.1f  p95 %.1f  p99 %.1f  max %.1f ms (%d)", l.P50, l.P95, l.P99, l.Max, l.N)
}

// partOrder is the order in which the parts of a switch happen.
var partOrder = []string{
	"pause_ms", "restrict_ms", "lag_ms", "lock_ms", "marker_ms", "drain_ms", "sequences_ms", "triggers_ms", "commit_ms",
	"reverse_ms", "drop_ms", "pooler_ms", "reroute_ms", "resume_ms", "script_ms", "stall_ms",
}

func parts(m map[string]float64) string {
	var out []string
	for _, k := range partOrder {
		if ms, ok := m[k]; ok {
			out = append(out, fmt.Sprintf("%s %.1f ms", strings.TrimSuffix(k, "_ms"), ms))
		}
	}
	return strings.Join(out, " | ")
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes one JUnit suite; each assertion is a case.
func (v Verdict) WriteJUnit(w io.Writer) error {
	class := fmt.Sprintf("rehearse.%s.%s-%s", v.Scenario, v.From, v.To)
	suite := junitSuite{Name: class, Tests: len(v.Assertions), Time: fmt.Sprintf("%.3f", v.Seconds)}
	for _, a := range v.Assertions {
		c := junitCase{Class: class, Name: a.ID, Time: fmt.Sprintf("%.3f", a.Seconds)}
		if a.Holds {
			c.Output = a.Detail
		} else {
			suite.Failures++
			first, _, _ := strings.Cut(a.Detail, "\n")
			c.Failure = &junitFailure{Message: first, Text: a.Detail}
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

// Budget is what the upgrade may cost its clients.
type Budget struct {
	WriteStall time.Duration // 0 is one second
	Errors     int           // failed attempts beyond those that a switch without a pooler must make
}

// MarshalJSON writes the time in seconds.
func (b Budget) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"write_stall": %g, "errors": %d}`, b.WriteStall.Seconds(), b.Errors), nil
}

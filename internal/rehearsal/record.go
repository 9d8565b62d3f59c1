package rehearsal

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"pgleap/plan"
)

// outcome is what a client knows of its transaction.
type outcome string

const (
	acknowledged outcome = "ACK"     // commit returned
	unknown      outcome = "UNKNOWN" // the connection died during commit
	failed       outcome = "ERR"     // rolled back, for sure
)

// attempt is one try of one transaction: what the ledger of the clients holds. Times count from the start
// of the load, on the monotonic clock.
type attempt struct {
	Client  int           `json:"client"`
	N       int64         `json:"n"`
	Outcome outcome       `json:"outcome"`
	Side    plan.Side     `json:"side"`    // which server answered
	Version string        `json:"version"` // and what it is
	Due     time.Duration `json:"-"`
	Start   time.Duration `json:"-"`
	End     time.Duration `json:"-"`
	Code    string        `json:"code,omitempty"`
	Message string        `json:"message,omitempty"`
	Ticket  int64         `json:"ticket,omitempty"` // handed out by nextval
	ID      int64         `json:"id,omitempty"`     // handed out by an identity column
	Early   int64         `json:"early,omitempty"`  // handed out by a nextval of its own, before any write
	Direct  bool          `json:"direct,omitempty"` // not through a pooler
	ops     []op
}

// read is one look of a reader.
type read struct {
	Due, Start, End time.Duration
	Side            plan.Side
	Unseen          string // an acknowledged row that was not there
	Err             string
}

// record is the clients' log, outside both databases.
type record struct {
	start time.Time

	mu       sync.Mutex
	attempts []attempt
	reads    []read
	acked    []key           // what readers may ask for
	moves    []time.Duration // when clients that go round a pooler arrived on another server
}

type key struct {
	client int
	n      int64
}

func (r *record) now() time.Duration { return time.Since(r.start) }

func (r *record) add(a attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
	if a.Outcome == acknowledged {
		r.acked = append(r.acked, key{a.Client, a.N})
	}
}

func (r *record) addRead(x read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, x)
}

// arrived notes that one more client is on another server.
func (r *record) arrived() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves = append(r.moves, time.Since(r.start))
}

// someAcked returns an acknowledged transaction; f picks one of n.
func (r *record) someAcked(f func(n int) int) (key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acked) == 0 {
		return key{}, false
	}
	return r.acked[f(len(r.acked))], true
}

// write writes the attempts as JSON lines.
func (r *record) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	b := bufio.NewWriter(f)
	e := json.NewEncoder(b)
	for _, a := range r.attempts {
		line := struct { // times in seconds
			attempt
			Due   float64 `json:"due"`
			Start float64 `json:"start"`
			End   float64 `json:"end"`
		}{a, a.Due.Seconds(), a.Start.Seconds(), a.End.Seconds()}
		if err := e.Encode(line); err != nil {
			_ = f.Close()
			return fmt.Errorf("write the ledger: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the ledger: %w", err)
	}
	return f.Close()
}

package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// The witness is a slot of its own on the side that is left: what was committed there behind the fence stands in its
// WAL, whatever anybody says. Only what a subscription applies may be in it.

// Witnessed is what the WAL of the side that is left says. The slot's position is the whole state: up to there nobody
// but replication has written.
type Witnessed struct {
	Slot       string      `json:"slot"`
	FenceLSN   string      `json:"fence_lsn"`
	CleanTo    string      `json:"clean_to,omitempty"`         // nothing but replication was committed between the fence and this
	Complete   bool        `json:"complete"`                   // read to the end of the WAL as it was; else a bound of time or size ended it
	Violations []Violation `json:"violations,omitempty"`       // the first; the slot stays before them
	More       int64       `json:"more,omitempty"`             // how many there are besides
	Unread     string      `json:"not_read_because,omitempty"` // why nothing is known
}

// Violation is a change that somebody made behind the fence.
type Violation struct {
	Table     string `json:"table"`
	Operation string `json:"operation"`
	CommitLSN string `json:"commit_lsn"`
	XID       uint32 `json:"xid"`
	Drained   bool   `json:"drained,omitempty"` // it came over: a switch that was resumed behind the fence drained anew after it
}

// MarkDrained marks the violations that were committed before lsn, to where a resumed switch drained anew.
func (w *Witnessed) MarkDrained(lsn string) error {
	var drained, at pg.SourceLSN
	if err := drained.Scan(lsn); err != nil {
		return fmt.Errorf("read the position %q: %w", lsn, err)
	}
	for i, v := range w.Violations {
		if err := at.Scan(v.CommitLSN); err != nil {
			return fmt.Errorf("read the position %q: %w", v.CommitLSN, err)
		}
		w.Violations[i].Drained = at.LSN < drained.LSN
	}
	return nil
}

// String is the result in a sentence.
func (w Witnessed) String() string {
	switch {
	case w.Unread != "":
		return "not read: " + w.Unread
	case len(w.Violations) > 0:
		v, changes := w.Violations[0], "CHANGES"
		n := int64(len(w.Violations)) + w.More
		if n == 1 {
			changes = "CHANGE"
		}
		return fmt.Sprintf("%d %s BY OTHERS than replication behind the fence, the first: %s of %s at %s, transaction %d", n, changes, v.Operation, plan.OneLine(v.Table), v.CommitLSN, v.XID)
	case !w.Complete:
		return fmt.Sprintf("nobody but replication has written up to %s; the rest is not read yet", w.CleanTo)
	}
	return fmt.Sprintf("nobody but replication has written between the fence at %s and %s", w.FenceLSN, w.CleanTo)
}

// MakeWitness makes the slot before the switch, as a copy of the lane's: so it need not wait for transactions. Versions
// before 12 cannot copy one; there it waits for every write transaction that is open, as long as ctx lets it. One that
// is there stays: it began earlier.
func MakeWitness(ctx context.Context, s *pg.Source, lane, slot string) error {
	call := "pg_create_logical_replication_slot($1::text::name, 'pgoutput')"
	if s.Version().Has(pgver.CopySlot) {
		call = "pg_copy_logical_replication_slot(" + plan.QuoteLiteral(lane) + ", $1::text::name)"
	}
	if _, err := s.Exec(ctx, "select "+call+" where not exists (select from pg_replication_slots where slot_name = $1::text)", slot); err != nil {
		return fmt.Errorf("make slot %s: %w", slot, err)
	}
	return nil
}

// DropWitness drops the slot, if it is there.
func DropWitness(ctx context.Context, s *pg.Source, slot string) error {
	if _, err := s.Exec(ctx, DropWitnessStatement(slot)); err != nil {
		return fmt.Errorf("drop slot %s: %w", slot, err)
	}
	return nil
}

// DropWitnessStatement is what DropWitness sends.
func DropWitnessStatement(slot string) string {
	return "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and slot_name = " + plan.QuoteLiteral(slot)
}

// Limits bound how much of the WAL is read.
type Limits struct {
	Time  time.Duration // 0 is without a bound
	Bytes int64         // of decoded changes; 0 is without a bound
}

// Witness reads the slot from the fence on to the end of the WAL, and moves it past what is clean.
func Witness(ctx context.Context, s *pg.Source, verb string, lanes []string, slot, fence string, l Limits) (Witnessed, error) {
	w := Witnessed{Slot: slot, FenceLSN: fence}
	var from, until pg.SourceLSN
	if err := from.Scan(fence); err != nil {
		return w, fmt.Errorf("read the fence's position %q: %w", fence, err)
	}
	var position *string
	err := s.QueryRow(ctx, "select pg_current_wal_insert_lsn(), (select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1 and database = current_database())", w.Slot).Scan(&until.LSN, &position)
	if err != nil {
		return w, fmt.Errorf("look for slot %s: %w", w.Slot, err)
	}
	if position == nil {
		w.Unread = "there is no slot " + w.Slot
		return w, nil
	}
	w.CleanTo = *position
	limited, cancel := ctx, context.CancelFunc(func() {})
	if l.Time > 0 {
		limited, cancel = context.WithTimeout(ctx, l.Time)
	}
	defer cancel()
	r, err := pg.OpenSourceReplication(limited, s.Address(), verb)
	if err != nil {
		return w, err
	}
	defer r.Close()
	d, err := r.Decode(limited, pg.Decoding{
		Slot: w.Slot, Publications: lanes, From: from.LSN, Until: until.LSN, Bytes: l.Bytes,
		Ignore: func(c pg.Change) bool { return c.Schema == "pgleap" },
	})
	if d.Clean > 0 {
		w.CleanTo = d.Clean.String()
	}
	w.Complete, w.More = d.Complete, d.More
	for _, c := range d.Changes {
		w.Violations = append(w.Violations, Violation{Table: plan.Name{Schema: c.Schema, Name: c.Table}.String(), Operation: c.Operation, CommitLSN: c.Commit.String(), XID: c.XID})
	}
	switch {
	case err == nil, ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return w, nil
	case ctx.Err() != nil:
		return w, ctx.Err()
	}
	w.Unread = pg.Message(err)
	return w, nil
}

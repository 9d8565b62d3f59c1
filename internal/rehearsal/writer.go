package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"pgleap/internal/pg"
)

// writer is a client that writes. It carries out one transaction after the other, each until it is
// acknowledged or its outcome is unknown.
type writer struct {
	client
	id     int
	n      int64
	random *rand.Rand
	// straggler: the first transaction after the flip still goes to the old server, as that of a client that
	// has not noticed. It must be refused.
	straggler bool
	straggled bool
}

func newWriter(l *load, id int) *writer {
	w := &writer{id: id, random: rand.New(rand.NewPCG(uint64(l.config.Seed), uint64(id)))}
	w.load, w.role = l, writerRoles[id%len(writerRoles)]
	w.straggler = id < len(writerRoles) // one of each role
	return w
}

// A failed transaction is tried again after a moment. A client that the fence refused waits for the endpoint's
// flip, which wakes it at once, and tries again by itself only now and then: hundreds of them that do nothing
// but try would be the load that the switch is measured under.
const (
	moment   = 5 * time.Millisecond
	patience = 100 * time.Millisecond
)

// serve carries out the transaction that was due.
func (w *writer) serve(ctx context.Context, due time.Duration) error {
	w.n++
	ops := pick(w.random, w.n)
	early := w.load.config.Margin > 0 && w.random.IntN(10) == 0
	for {
		if err := w.reach(ctx); err != nil {
			return err
		}
		a := attempt{Client: w.id, N: w.n, Due: due, Side: w.on.Side, Version: w.on.Version, ops: ops}
		w.try(ctx, &a, early)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.load.record.add(a)
		if a.Outcome != failed {
			return nil
		}
		w.back(a)
		if w.given() {
			return nil
		}
	}
}

// reach connects to where this client thinks it has to write. A server that cannot be reached is a failed
// attempt of its own kind: it is tried again for as long as the load goes on.
func (w *writer) reach(ctx context.Context) error {
	if w.straggler && !w.straggled && !w.load.endpoint.when().IsZero() && w.session.Alive() {
		w.straggled = true
		return nil
	}
	for {
		start := w.load.record.now()
		err := w.connect(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.load.record.add(attempt{
			Client: w.id, N: w.n, Outcome: failed, Side: w.load.endpoint.server().Side,
			Due: start, Start: start, End: w.load.record.now(), Code: code(err), Message: err.Error(),
		})
		if w.given() {
			return fmt.Errorf("client %d: %w", w.id, err)
		}
		w.wait(patience)
	}
}

// try makes one attempt: everything but the commit in one round trip, the commit in a second, so that it is
// known whether the connection died before or during it.
func (w *writer) try(ctx context.Context, a *attempt, early bool) {
	a.Start = w.load.record.now()
	defer func() { a.End = w.load.record.now() }()
	rows, err := w.session.Script(ctx, w.script(a, early))
	if early && len(rows) > 0 {
		a.Early, _ = strconv.ParseInt(rows[0][0], 10, 64)
		rows = rows[1:]
	}
	if err == nil && (len(rows) != 1 || len(rows[0]) != 2) {
		err = fmt.Errorf("the insert returned %v", rows)
	}
	if err != nil {
		a.Outcome, a.Code, a.Message = failed, code(err), pg.Message(err)
		w.session.Rollback()
		return
	}
	a.ID, _ = strconv.ParseInt(rows[0][0], 10, 64)
	a.Ticket, _ = strconv.ParseInt(rows[0][1], 10, 64)
	if _, err := w.session.Script(ctx, "commit"); err != nil {
		a.Outcome, a.Code, a.Message = unknown, code(err), pg.Message(err)
		if pg.Code(err) != "" && w.session.Alive() {
			a.Outcome = failed // the server itself said that it rolled back
		}
		return
	}
	a.Outcome = acknowledged
}

func (w *writer) script(a *attempt, early bool) string {
	var b strings.Builder
	b.WriteString("begin; ")
	if early { // handed out although the insert may be refused: what --sequence-margin is for
		b.WriteString("select nextval('ledger.ticket'); ")
	}
	fmt.Fprintf(&b, "insert into ledger.entry (client, n, payload, ticket) values (%d, %d, '%s', nextval('ledger.ticket')) returning id, ticket",
		w.id, a.N, payload(w.id, a.N))
	for _, o := range a.ops {
		b.WriteString("; ")
		b.WriteString(o.sql(w.id))
	}
	return b.String()
}

// back makes the next attempt a sensible one: after a refusal it waits for the flip, and it leaves a
// connection that only reads.
func (w *writer) back(a attempt) {
	if a.Code == pg.CodeReadOnly && a.Side == w.load.stage.Target.Side {
		w.session.Close() // the setting may be gone for a new session
	}
	if a.Code == pg.CodeReadOnly && a.Side == w.load.stage.Source.Side {
		w.wait(patience)
		return
	}
	w.wait(moment)
}

// wait waits for the flip, if that is still to come, but no longer than d.
func (w *writer) wait(d time.Duration) {
	flipped := w.load.endpoint.flipped
	if !w.load.endpoint.when().IsZero() {
		flipped = nil
		if w.on.Side != w.load.stage.Target.Side {
			return
		}
	}
	select {
	case <-flipped:
	case <-time.After(d):
	}
}

// given tells whether it is time to give up: the load is over.
func (w *writer) given() bool {
	select {
	case <-w.load.stop:
		return true
	default:
		return false
	}
}

// code is the SQLSTATE of err; a broken connection is 08006, as libpq's own drivers have it.
func code(err error) string {
	if c := pg.Code(err); c != "" {
		return c
	}
	if errors.Is(err, context.Canceled) {
		return ""
	}
	return "08006"
}

// reader is a client that looks whether acknowledged rows are there.
type reader struct {
	client
	random *rand.Rand
}

func newReader(l *load, id int) *reader {
	r := &reader{random: rand.New(rand.NewPCG(uint64(l.config.Seed), uint64(1000+id)))}
	r.load, r.role = l, appRole
	return r
}

func (r *reader) serve(ctx context.Context, due time.Duration) error {
	k, ok := r.load.record.someAcked(r.random.IntN)
	if !ok {
		return nil
	}
	x := read{Due: due, Start: r.load.record.now()}
	err := r.connect(ctx)
	if err == nil {
		x.Side = r.on.Side
		var rows [][]string
		rows, err = r.session.Script(ctx, fmt.Sprintf("select 1 from ledger.entry where client = %d and n = %d", k.client, k.n))
		if err == nil && len(rows) != 1 {
			x.Unseen = fmt.Sprintf("client %d, number %d: %d times", k.client, k.n, len(rows))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		x.Err = pg.Message(err)
	}
	x.End = r.load.record.now()
	r.load.record.addRead(x)
	return nil
}

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
	// straggler: the first transaction after each flip still goes to the old server, as that of a client that
	// has not noticed. It must be refused.
	straggler bool
	straggled int // after how many flips it did
}

func newWriter(l *load, id int) *writer {
	w := &writer{id: id, random: rand.New(rand.NewPCG(uint64(l.config.Seed), uint64(id)))}
	w.load, w.role = l, writerRoles[id%len(writerRoles)]
	w.pooled = l.config.Pooler != PoolerNone && (id < l.config.Clients || id >= l.config.Clients+l.config.Direct)
	w.straggler = !w.pooled && (id < len(writerRoles) || l.config.Pooler != PoolerNone) // one of each role
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
	// Through the pooler most commit in the same round trip, as a pooler is there for many short transactions.
	// Some stay open in between everywhere: PAUSE and the fence must wait for them.
	apart := !w.pooled || w.random.IntN(8) == 0
	for {
		if connected, err := w.reach(ctx); err != nil || !connected {
			return err
		}
		a := attempt{Client: w.id, N: w.n, Due: due, Side: w.on.Side, Version: w.on.Version, Direct: !w.pooled, ops: ops}
		w.try(ctx, &a, early, apart)
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

// reach connects to where this client thinks it has to write. A server that cannot be reached is a failed attempt of
// its own kind: it is tried again for as long as the load goes on, and then given up; R-ERR tells.
func (w *writer) reach(ctx context.Context) (connected bool, err error) {
	if _, flips := w.load.endpoint.server(); w.straggler && w.straggled < flips && w.session != nil && w.session.Alive() {
		w.straggled = flips
		return true, nil
	}
	for {
		start := w.load.record.now()
		err := w.connect(ctx)
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		to, _ := w.load.endpoint.server()
		w.load.record.add(attempt{
			Client: w.id, N: w.n, Outcome: failed, Side: to.Side, Direct: !w.pooled,
			Due: start, Start: start, End: w.load.record.now(), Code: code(err), Message: err.Error(),
		})
		if w.given() {
			return false, nil
		}
		w.wait(patience)
	}
}

// try makes one attempt: all in one round trip, or the commit in a second one, so that it is known whether the
// connection died before or during it.
func (w *writer) try(ctx context.Context, a *attempt, early, apart bool) {
	a.Start = w.load.record.now()
	defer func() { a.End = w.load.record.now() }()
	sql := w.script(a, early)
	if !apart {
		sql += "; commit"
	}
	rows, err := w.session.Script(ctx, sql)
	if early && len(rows) > 0 {
		a.Early, _ = strconv.ParseInt(rows[0][0], 10, 64)
		rows = rows[1:]
	}
	if err == nil && (len(rows) != 1 || len(rows[0]) != 3) {
		err = fmt.Errorf("the insert returned %v", rows)
	}
	if err != nil {
		a.fail(err, apart || w.refused(err))
		_ = w.session.Rollback() // a connection that is lost is seen at the next attempt
		return
	}
	a.ID, _ = strconv.ParseInt(rows[0][0], 10, 64)
	a.Ticket, _ = strconv.ParseInt(rows[0][1], 10, 64)
	w.answered(rows[0][2])
	a.Side, a.Version = w.on.Side, w.on.Version
	if apart {
		if _, err := w.session.Script(ctx, "commit"); err != nil {
			a.fail(err, w.refused(err))
			return
		}
	}
	a.Outcome = acknowledged
}

// refused tells whether the server itself said that it rolled back.
func (w *writer) refused(err error) bool { return pg.Code(err) != "" && w.session.Alive() }

// fail keeps the error of an attempt whose transaction is rolled back for sure, or whose outcome nobody knows.
func (a *attempt) fail(err error, sure bool) {
	a.Outcome, a.Code, a.Message = unknown, code(err), pg.Message(err)
	if sure {
		a.Outcome = failed
	}
}

// ownRow inserts the ledger's own row of a transaction, and asks which server answers: behind a pooler nothing else
// tells.
const ownRow = `insert into ledger.entry (client, n, payload, ticket) values (%d, %d, '%s', nextval('ledger.ticket')) returning id, ticket, ` + whoAnswers

func (w *writer) script(a *attempt, early bool) string {
	var b strings.Builder
	b.WriteString("begin; ")
	if early { // handed out although the insert may be refused: what --sequence-margin is for
		b.WriteString("select nextval('ledger.ticket'); ")
	}
	fmt.Fprintf(&b, ownRow, w.id, a.N, payload(w.id, a.N))
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

// wait waits for the next flip, if this client is not behind the last one already, but no longer than d.
func (w *writer) wait(d time.Duration) {
	flipped := w.load.endpoint.next()
	if to, flips := w.load.endpoint.server(); !w.pooled && flips > 0 && w.on.Side != to.Side {
		return
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

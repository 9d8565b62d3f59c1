package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pgleap/internal/pg"
)

const (
	copyWriters = 16
	// copyBehind is how late a write may begin: a later one found all writers busy, which its latency shows, too.
	copyBehind = 100 * time.Millisecond
)

// copyLoad writes on the source at a fixed rate, whether or not the writes before have ended. A latency counts from
// when the write was due.
type copyLoad struct {
	c      *copyBench
	uri    string
	target string
	over   chan struct{}
	done   sync.WaitGroup

	mu        sync.Mutex
	latencies []time.Duration
	late      int
	failed    error
}

// startLoad returns when all writers are connected.
func (c *copyBench) startLoad(d copyDataset) *copyLoad {
	c.b.Helper()
	l := &copyLoad{c: c, uri: c.source.URI(d.database()), target: c.target.URI(d.database()), over: make(chan struct{})}
	limits := c.query(l.uri, "select max(aid) from pgbench_accounts union all select max(id) from orders")
	due := make(chan time.Time, 60*max(1, c.rate)) // a minute of writes may wait
	for i := range copyWriters {
		s, err := copySession(c.b.Context(), l.uri)
		if err != nil {
			c.b.Fatal(err)
		}
		w := &copyWriter{copyLoad: l, session: s, random: rand.New(rand.NewPCG(1, uint64(i)))}
		if _, err := fmt.Sscan(limits[0][0]+" "+limits[1][0], &w.accounts, &w.orders); err != nil {
			c.b.Fatal(err)
		}
		l.done.Go(func() { w.serve(due) })
	}
	l.done.Go(func() { l.schedule(due) })
	c.b.Cleanup(l.stop) // a way that fails leaves it running
	return l
}

func (l *copyLoad) schedule(due chan<- time.Time) {
	defer close(due)
	tick := time.NewTicker(time.Second / time.Duration(l.c.rate))
	defer tick.Stop()
	begun := time.Now()
	for n := 0; ; {
		select {
		case <-l.over:
			return
		case <-tick.C: // ticks that come late are made up for
			for at := begun.Add(time.Duration(n) * time.Second / time.Duration(l.c.rate)); !at.After(time.Now()); at = begun.Add(time.Duration(n) * time.Second / time.Duration(l.c.rate)) {
				due <- at
				n++
			}
		}
	}
}

func (l *copyLoad) stop() {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.done.Wait()
}

// end stops the load and waits for the writes that were due.
func (l *copyLoad) end() {
	l.c.b.Helper()
	l.stop()
	if l.failed != nil {
		l.c.b.Fatalf("a write on the source failed: %s", pg.Message(l.failed))
	}
}

// mark writes a last row on the source, and returns where and how to look for it: behind it everything has arrived.
func (l *copyLoad) mark() (uri, sql string) {
	mark := time.Now().Format("150405.000000")
	l.c.query(l.uri, fmt.Sprintf("update pgbench_branches set filler = '%s' where bid = 1", mark))
	return l.target, fmt.Sprintf("select from pgbench_branches where bid = 1 and filler = '%s'", mark)
}

func (l *copyLoad) measured() (sorted []time.Duration, late int) {
	slices.Sort(l.latencies)
	return l.latencies, l.late
}

// copyWriter is one of the load's sessions.
type copyWriter struct {
	*copyLoad
	session          *pg.Session
	random           *rand.Rand
	accounts, orders int
}

func (w *copyWriter) serve(due <-chan time.Time) {
	defer w.session.Close()
	for at := range due {
		late := time.Since(at) > copyBehind
		_, err := w.session.Script(context.WithoutCancel(w.c.b.Context()), w.statement())
		took := time.Since(at)
		w.mu.Lock()
		w.latencies = append(w.latencies, took)
		if late {
			w.late++
		}
		if err != nil && w.failed == nil {
			w.failed = err
		}
		w.mu.Unlock()
	}
}

// statement is a transaction of the load.
func (w *copyWriter) statement() string {
	account, order := 1+w.random.IntN(w.accounts), 1+w.random.IntN(w.orders)
	switch n := w.random.IntN(20); {
	case n < 8:
		return fmt.Sprintf(`update pgbench_accounts set abalance = abalance + %[1]d where aid = %[2]d;
			insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, %[2]d, %[1]d, now())`, w.random.IntN(2000)-1000, account)
	case n < 14:
		return fmt.Sprintf(`insert into orders (customer, status, placed, total, attributes, note)
			values (%d, 'new', now(), %d, '{"channel": "load", "tags": ["t%d"]}', 'load')`, account, account%1000, n)
	case n < 19:
		return fmt.Sprintf(`update orders set status = 'paid', total = total + 1, attributes = attributes || '{"paid": true}' where id = %d`, order)
	default:
		return fmt.Sprintf("delete from orders where id = %d", order)
	}
}

package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// TestBudget: a cutover that cannot finish within --max-write-stall is undone. The writers have waited and never
// met an error, they are served again within a second of the budget's end, and whoever was in the way is named.
func TestBudget(t *testing.T) {
	const budget = time.Second
	u := startServers(t, 15, 17).upgrade(t, small)
	u.run(exitOK, "sync")
	for _, c := range []struct{ name, sql string }{
		{"a table locked exclusively", "begin; lock table orders in access exclusive mode"},
		{"a table locked for share", "begin; lock table orders in share mode"},
		{"an open insert", "begin; insert into orders (customer) values (1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocker := connect(t, u.sourceURI)
			pid := blocker.run(c.sql + "; select pg_backend_pid()")
			free := startWriter(t, u.sourceURI, "insert into customers (name) values ('free')")
			behind := startWriter(t, u.sourceURI, "insert into orders (customer, note) values (2, 'behind')")
			o := u.start(nil, "cutover", "--json", "--confirm", u.name, "--quiet", "0", "--max-write-stall", budget.String()).wait().exits(exitNotSwitched)
			o.says("within 1 s (--max-write-stall)", "pid "+pid, "select pg_terminate_backend("+pid+")")
			undone := find(t, o.events(), plan.EventResult).Time
			free.servedAfter(undone)
			blocker.run("rollback")
			behind.servedAfter(undone)
			for _, w := range []*writer{free, behind} {
				w.stop()
			}
			if first := free.firstAfter(undone); first > time.Second {
				t.Errorf("the first write after the budget's end came %s later", first)
			}
			if gap := free.longestGap(); gap > budget+time.Second {
				t.Errorf("no write was acknowledged for %s, with a budget of %s", gap, budget)
			}
			u.source.is("0", "select count(*) from pg_trigger where tgname = 'zz_pgleap_fence'")
		})
	}
	t.Run("a drain that stands still", func(t *testing.T) {
		w := startWriter(t, u.sourceURI, "insert into customers (name) values ('drain')")
		w.served()
		p := u.start([]string{stopAt + "=switch.prepared"}, "cutover", "--json", "--confirm", u.name, "--max-write-stall", budget.String())
		awaitStopped(t, p)
		blocker := connect(t, u.targetURI) // behind the gate, which would have refused
		pid := blocker.run("begin; lock table pgleap.marker in exclusive mode; select pg_backend_pid()")
		p.signal(syscall.SIGCONT)
		o := p.wait().exits(exitNotSwitched)
		o.says("not complete within 1 s (--max-write-stall)", "wait for the marker", "the source is writable again", "pid "+pid)
		undone := find(t, o.events(), plan.EventResult).Time
		w.servedAfter(undone)
		w.stop()
		if gap := w.longestGap(); gap > budget+time.Second {
			t.Errorf("no write was acknowledged for %s", gap)
		}
		blocker.run("rollback")
	})
	if t.Failed() {
		return
	}
	u.run(exitOK, "cutover", "--confirm", u.name).says("✓ switch")
	u.source.is("25006", `do $$ begin insert into customers (name) values ('late'); exception when others then perform set_config('test.state', sqlstate, false); end $$;
		select current_setting('test.state')`)
	u.target.is(u.source.run("select count(*), sum(id) from customers"), "select count(*), sum(id) from customers")
	u.target.is(u.source.run("select count(*), sum(id) from orders"), "select count(*), sum(id) from orders")
}

func find(t *testing.T, events []plan.Event, kind plan.EventKind) plan.Event {
	t.Helper()
	for _, e := range events {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("no event %q among %+v", kind, events)
	return plan.Event{}
}

// writer writes one row after the other, as a client does, and notes when each was acknowledged.
type writer struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	started time.Time
	acked   []time.Time
}

func startWriter(t *testing.T, uri, sql string) *writer {
	t.Helper()
	session := connect(t, uri).session
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &writer{t: t, cancel: cancel, ended: make(chan struct{}), started: time.Now()}
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil {
			if _, err := session.Exec(ctx, sql); err != nil {
				if ctx.Err() == nil {
					t.Errorf("a writer met an error: %s: %s", sql, pg.Message(err))
				}
				return
			}
			w.mu.Lock()
			w.acked = append(w.acked, time.Now())
			w.mu.Unlock()
			select { // a client thinks
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(w.stop)
	return w
}

func (w *writer) stop() {
	w.cancel()
	<-w.ended
}

func (w *writer) times() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// served waits until a write from now on is acknowledged.
func (w *writer) served() { w.servedAfter(time.Now()) }

func (w *writer) servedAfter(at time.Time) {
	w.t.Helper()
	await(w.t, fmt.Sprintf("a write after %s", at.Format(time.TimeOnly)), func() bool {
		list := w.times()
		return len(list) > 0 && list[len(list)-1].After(at)
	})
}

// firstAfter is how long after at the first write was acknowledged.
func (w *writer) firstAfter(at time.Time) time.Duration {
	for _, acked := range w.times() {
		if acked.After(at) {
			return acked.Sub(at)
		}
	}
	return longest
}

// longestGap is the longest time without an acknowledged write.
func (w *writer) longestGap() time.Duration {
	var gap time.Duration
	last := w.started
	for _, at := range w.times() {
		gap, last = max(gap, at.Sub(last)), at
	}
	return gap
}

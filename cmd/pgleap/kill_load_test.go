package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgleap/internal/pg"
)

const (
	loadClients = 4                     // write orders; one more turns the wheel
	loadEvery   = 50 * time.Millisecond // between two transactions of one client
	wheelSize   = 50                    // app.wheel counts from 1 to this and begins again
)

// killLoad is a handful of clients that write while pgleap is killed. Each transaction is tried until it is
// acknowledged, and noted with what the server handed out for it.
type killLoad struct {
	t       *testing.T
	pair    *killPair
	clients []*killClient
	stop    chan struct{}
	group   sync.WaitGroup

	mu       sync.Mutex
	toTarget bool          // where the clients are to go
	turns    int           // how often they were told to go elsewhere
	turned   chan struct{} // closed when they are
}

type killClient struct {
	id       int
	on       *pg.Session
	onTarget bool
	acked    []acked
	n        atomic.Int64    // of the acknowledged, for whoever waits
	moved    atomic.Int64    // of those, by the target
	failed   int             // tries of the transaction that is under way
	last     [2]atomic.Int64 // ticket from the source, and from the target
}

// acked is a transaction that the client was told is committed.
type acked struct {
	onTarget   bool
	id, ticket int
	failed     int // tries before it
}

func startLoad(t *testing.T, p *killPair) *killLoad {
	t.Helper()
	l := &killLoad{t: t, pair: p, turned: make(chan struct{}), stop: make(chan struct{})}
	for i := range loadClients + 1 {
		c := &killClient{id: i} // client 0 turns the wheel
		l.clients = append(l.clients, c)
		c.on = p.open(p.source)
		l.group.Go(func() { l.serve(c) })
	}
	return l
}

// serve writes one transaction after the other.
func (l *killLoad) serve(c *killClient) {
	tick := time.NewTicker(loadEvery)
	defer func() { tick.Stop(); c.on.Close() }()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		to, turned := l.goal()
		if c.onTarget != to {
			side := l.pair.source
			if to {
				side = l.pair.target
			}
			c.on.Close()
			c.on, c.onTarget = l.pair.open(side), to
		}
		if err := c.try(); err != nil {
			c.failed++
			if c.onTarget && !l.pair.rollsBack || pg.Code(err) != pg.CodeReadOnly || !strings.Contains(pg.Message(err), "pgleap") {
				l.t.Errorf("client %d met an error that no application should (on the target: %t): %v", c.id, c.onTarget, err)
				return
			}
			select { // this server has moved: wait to be told where to
			case <-turned:
			case <-l.stop:
				return
			}
		}
	}
}

// flip sends the clients to one of the servers.
func (l *killLoad) flip(toTarget bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.toTarget == toTarget {
		return
	}
	l.toTarget = toTarget
	l.turns++
	close(l.turned)
	l.turned = make(chan struct{})
}

// goal is where the clients are to go; the channel is closed when that changes.
func (l *killLoad) goal() (toTarget bool, turned chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.toTarget, l.turned
}

func (l *killLoad) hasFlipped() bool {
	toTarget, _ := l.goal()
	return toTarget
}

// try makes one attempt of the transaction that is next. Nobody ends these sessions, so the answer to a
// commit is never lost.
func (c *killClient) try() error {
	n := int(c.n.Load()) + 1
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	sql := fmt.Sprintf(`begin; insert into app.spin (n) values (%d) returning 0, spoke; commit`, n)
	if c.id > 0 {
		sql = fmt.Sprintf(`begin;
insert into app.orders (customer, client, n) values (%[3]d, %[1]d, %[2]d) returning id, ticket;
insert into app.item (order_id, client, n) values (currval('app.orders_id_seq'), %[1]d, %[2]d);
insert into app.event (slot, client, n) values (%[2]d %% 2, %[1]d, %[2]d);
insert into app.note (client, v, touched) values (%[1]d, %[2]d, 0);
update app.note set touched = touched + 1 where client = %[1]d;
delete from app.note where client = %[1]d and v <= %[2]d - 3;
commit`, c.id, n, 1+(c.id*7+n)%20)
	}
	rows, err := c.on.Script(ctx, sql)
	if err != nil {
		c.on.Rollback()
		return err
	}
	a := acked{onTarget: c.onTarget, failed: c.failed}
	a.id, _ = strconv.Atoi(rows[0][0])
	a.ticket, _ = strconv.Atoi(rows[0][1])
	c.acked, c.failed = append(c.acked, a), 0
	if c.onTarget {
		c.moved.Add(1)
		c.last[1].Store(int64(a.ticket))
	} else {
		c.last[0].Store(int64(a.ticket))
	}
	c.n.Add(1)
	return nil
}

// await waits until each client has had that many more transactions acknowledged.
func (l *killLoad) await(more int64) {
	l.t.Helper()
	l.awaitEach(more, func(c *killClient) int64 { return c.n.Load() })
}

// awaitMoved waits until each client has had that many more acknowledged by the target.
func (l *killLoad) awaitMoved(more int64) {
	l.t.Helper()
	l.awaitEach(more, func(c *killClient) int64 { return c.moved.Load() })
}

// awaitWheel waits until the wheel's value on the target is less than its last on the source, though it stands
// behind it: whoever takes it for one that only counts up would turn it back.
func (l *killLoad) awaitWheel() {
	l.t.Helper()
	last := &l.clients[0].last
	awaitThat(l.t, "the wheel begins anew", func() bool {
		on, was := last[1].Load(), last[0].Load()
		return was <= 2 || on > 0 && on < was
	})
}

func (l *killLoad) awaitEach(more int64, count func(*killClient) int64) {
	l.t.Helper()
	var want []int64
	for _, c := range l.clients {
		want = append(want, count(c)+more)
	}
	for i, c := range l.clients {
		awaitThat(l.t, fmt.Sprintf("client %d writes on", c.id), func() bool { return count(c) >= want[i] })
	}
}

func (l *killLoad) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.group.Wait()
}

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	flipped chan struct{} // closed when the clients may go to the target
	flip    func()
	stop    chan struct{}
	group   sync.WaitGroup
}

type killClient struct {
	id       int
	on       *pg.Session
	onTarget bool
	acked    []acked
	n        atomic.Int64 // of the acknowledged, for whoever waits
	moved    atomic.Int64 // of those, by the target
	failed   int          // tries of the transaction that is under way
}

// acked is a transaction that the client was told is committed.
type acked struct {
	onTarget   bool
	id, ticket int
	failed     int // tries before it
}

func startLoad(t *testing.T, p *killPair) *killLoad {
	t.Helper()
	l := &killLoad{t: t, pair: p, flipped: make(chan struct{}), stop: make(chan struct{})}
	l.flip = sync.OnceFunc(func() { close(l.flipped) })
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
		if !c.onTarget && l.hasFlipped() {
			c.on.Close()
			c.on, c.onTarget = l.pair.open(l.pair.target), true
		}
		if err := c.try(); err != nil {
			c.failed++
			if c.onTarget || pg.Code(err) != pg.CodeReadOnly || !strings.Contains(pg.Message(err), "pgleap") {
				l.t.Errorf("client %d met an error that no application should (on the target: %t): %v", c.id, c.onTarget, err)
				return
			}
			select { // the old server has moved: wait to be told where to
			case <-l.flipped:
			case <-l.stop:
				return
			}
		}
	}
}

func (l *killLoad) hasFlipped() bool {
	select {
	case <-l.flipped:
		return true
	default:
		return false
	}
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

// judge holds what the clients were told against both servers: on the target every acknowledged row once and
// nothing else, on the source only what it acknowledged itself.
func (l *killLoad) judge() {
	l.t.Helper()
	source, target := l.pair.rows(l.pair.source), l.pair.rows(l.pair.target)
	var onSource, onTarget []string
	ids, tickets := map[int]int{}, map[int]int{}
	for _, c := range l.clients[1:] {
		for i, a := range c.acked {
			rows := ordersRows(c.id, i+1, a)
			onTarget = append(onTarget, rows...)
			if !a.onTarget {
				onSource = append(onSource, rows...)
			}
			if ids[a.id]++; ids[a.id] > 1 {
				l.t.Errorf("app.orders: the key %d was handed out %d times", a.id, ids[a.id])
			}
			if tickets[a.ticket]++; tickets[a.ticket] > 1 {
				l.t.Errorf("app.ticket handed out %d %d times", a.ticket, tickets[a.ticket])
			}
		}
		n := len(c.acked)
		for back := range min(n, 3) {
			onTarget = append(onTarget, fmt.Sprintf("note %d/%d: touched %d", c.id, n-back, back+1))
		}
	}
	for i, a := range l.clients[0].acked {
		row := fmt.Sprintf("spin %d: spoke %d", i+1, a.ticket)
		onTarget = append(onTarget, row)
		if !a.onTarget {
			onSource = append(onSource, row)
		}
	}
	l.difference("target", onTarget, target)
	l.difference("source", onSource, slices.DeleteFunc(source, func(s string) bool { return strings.HasPrefix(s, "note ") }))
	l.judgeWheel()
	l.judgeNext(slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(tickets)))
}

// judgeStayed is judge where there was no switch.
func (l *killLoad) judgeStayed() {
	l.t.Helper()
	var want []string
	for _, c := range l.clients[1:] {
		for i, a := range c.acked {
			want = append(want, ordersRows(c.id, i+1, a)...)
		}
		for back := range min(len(c.acked), 3) {
			want = append(want, fmt.Sprintf("note %d/%d: touched %d", c.id, len(c.acked)-back, back+1))
		}
	}
	for i, a := range l.clients[0].acked {
		want = append(want, fmt.Sprintf("spin %d: spoke %d", i+1, a.ticket))
	}
	l.difference("source", want, l.pair.rows(l.pair.source))
}

// ordersRows are the rows that one transaction leaves for good.
func ordersRows(client, n int, a acked) []string {
	return []string{
		fmt.Sprintf("orders %d/%d: id %d, ticket %d", client, n, a.id, a.ticket),
		fmt.Sprintf("item %d/%d: of %d", client, n, a.id),
		fmt.Sprintf("event %d/%d: slot %d", client, n, n%2),
		fmt.Sprintf("audit %d/%d", client, n),
	}
}

// rows reads what the clients wrote, in the form of judge.
func (p *killPair) rows(side killSide) []string {
	p.t.Helper()
	var out []string
	for _, r := range p.query(side, `select format('orders %s/%s: id %s, ticket %s', client, n, id, ticket) from app.orders where client > 0
union all select format('item %s/%s: of %s', client, n, order_id) from app.item where client > 0
union all select format('event %s/%s: slot %s', client, n, slot) from app.event where client > 0
union all select format('audit %s/%s', client, n) from app.audit where client > 0
union all select format('note %s/%s: touched %s', client, v, touched) from app.note where client > 0
union all select format('spin %s: spoke %s', n, spoke) from app.spin where n > 0`) {
		out = append(out, r[0])
	}
	return out
}

// difference counts rows: one that is there twice is an error like one that is missing.
func (l *killLoad) difference(side string, want, got []string) {
	l.t.Helper()
	count := map[string]int{}
	for _, row := range want {
		count[row]++
	}
	for _, row := range got {
		count[row]--
	}
	said := 0
	for _, row := range slices.Sorted(maps.Keys(count)) {
		if k := count[row]; k != 0 && said < 10 {
			said++
			l.t.Errorf("%s: %d missing (less than 0: too many) of (%s)", side, k, row)
		}
	}
}

// judgeWheel: one client alone turns the wheel, so its values follow each other across the switch. A try that
// failed may have taken one.
func (l *killLoad) judgeWheel() {
	l.t.Helper()
	all := l.clients[0].acked
	for i := 1; i < len(all); i++ {
		step := (all[i].ticket - all[i-1].ticket + wheelSize) % wheelSize
		if step < 1 || step > 1+all[i].failed {
			l.t.Errorf("app.wheel: %d follows %d, after %d failed tries (on the target: %t, %t)", all[i].ticket, all[i-1].ticket, all[i].failed, all[i-1].onTarget, all[i].onTarget)
		}
	}
}

// judgeNext asks the target's sequences for one more value: it must be beyond everything handed out.
func (l *killLoad) judgeNext(ids, tickets []int) {
	l.t.Helper()
	p := l.pair
	next := func(sequence string) int {
		v, _ := strconv.Atoi(p.query(p.target, "select nextval('"+sequence+"')")[0][0])
		return v
	}
	if v := next("app.orders_id_seq"); v <= slices.Max(ids) {
		l.t.Errorf("app.orders_id_seq would hand out %d, after %d", v, slices.Max(ids))
	}
	if v := next("app.ticket"); v >= slices.Min(tickets) {
		l.t.Errorf("app.ticket counts down and would hand out %d, after %d", v, slices.Min(tickets))
	}
	for _, table := range []string{"item", "audit"} {
		highest, _ := strconv.Atoi(p.query(p.target, "select max(id) from app."+table)[0][0])
		if v := next("app." + table + "_id_seq"); v <= highest {
			l.t.Errorf("app.%s_id_seq would hand out %d, after %d", table, v, highest)
		}
	}
	if v := next("app.never"); v != 42 {
		l.t.Errorf("app.never was never called, and hands out %d instead of 42", v)
	}
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	if l.t.Failed() {
		l.pair.logAborted()
	}
	l.judgeWheel()
	l.judgeNext(l.pair.target, slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(tickets)))
}

// judgeTrips holds what the clients were told, wherever they were, against both servers after any number of trips: on
// the side that is in use every acknowledged row once and nothing else, and soon on the other one, which follows.
func (l *killLoad) judgeTrips(inUse, follows killSide) {
	l.t.Helper()
	var want []string
	ids, tickets := map[int]int{}, map[int]int{}
	for _, c := range l.clients[1:] {
		for i, a := range c.acked {
			want = append(want, ordersRows(c.id, i+1, a)...)
			if ids[a.id]++; ids[a.id] > 1 {
				l.t.Errorf("app.orders: the key %d was handed out %d times", a.id, ids[a.id])
			}
			if tickets[a.ticket]++; tickets[a.ticket] > 1 {
				l.t.Errorf("app.ticket handed out %d %d times", a.ticket, tickets[a.ticket])
			}
		}
		for back := range min(len(c.acked), 3) {
			want = append(want, fmt.Sprintf("note %d/%d: touched %d", c.id, len(c.acked)-back, back+1))
		}
	}
	for i, a := range l.clients[0].acked {
		want = append(want, fmt.Sprintf("spin %d: spoke %d", i+1, a.ticket))
	}
	l.difference(string(inUse.name), want, l.pair.rows(inUse))
	slices.Sort(want)
	equal := func() bool { return slices.Equal(want, slices.Sorted(slices.Values(l.pair.rows(follows)))) }
	for deadline := time.Now().Add(20 * time.Second); !equal() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	l.difference(string(follows.name)+", which follows", want, l.pair.rows(follows))
	l.judgeWheel()
	l.judgeNext(inUse, slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(tickets)))
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

// judgeNext asks a side's sequences for one more value: it must be beyond everything handed out.
func (l *killLoad) judgeNext(side killSide, ids, tickets []int) {
	l.t.Helper()
	p := l.pair
	next := func(sequence string) int {
		v, _ := strconv.Atoi(p.query(side, "select nextval('"+sequence+"')")[0][0])
		return v
	}
	if v := next("app.orders_id_seq"); v <= slices.Max(ids) {
		l.t.Errorf("app.orders_id_seq would hand out %d, after %d", v, slices.Max(ids))
	}
	if v := next("app.ticket"); v >= slices.Min(tickets) {
		l.t.Errorf("app.ticket counts down and would hand out %d, after %d", v, slices.Min(tickets))
	}
	for _, table := range []string{"item", "audit"} {
		highest, _ := strconv.Atoi(p.query(side, "select max(id) from app."+table)[0][0])
		if v := next("app." + table + "_id_seq"); v <= highest {
			l.t.Errorf("app.%s_id_seq would hand out %d, after %d", table, v, highest)
		}
	}
	if v := next("app.never"); v != 42 {
		l.t.Errorf("app.never was never called, and hands out %d instead of 42", v)
	}
}

// logAborted looks on the source for rows that are there, marked as aborted, though their transaction has
// committed: then not pgleap has lost them (see clientSettings).
func (p *killPair) logAborted() {
	p.t.Helper()
	p.query(p.source, "create extension if not exists pageinspect")
	for _, r := range p.query(p.source, `select format('%s, block %s, item %s, transaction %s', c.oid::regclass, b, i.lp, i.t_xmin)
from pg_class c, generate_series(0, pg_relation_size(c.oid) / 8192 - 1) b, heap_page_items(get_raw_page(c.oid::regclass::text, b::int)) i
where c.relkind = 'r' and c.relnamespace = 'app'::regnamespace
  and i.t_infomask & x'0300'::int = x'0200'::int and txid_status(i.t_xmin::text::bigint) = 'committed'`) {
		p.t.Logf("the source itself takes a committed row for aborted: %s", r[0])
	}
}

package rehearsal

import (
	"fmt"
	"sort"
)

// model is what the ledger's tables must hold, one text per row, by table: the acknowledged transactions
// carried out in memory.
type model struct {
	balance [accounts]int64
	clients map[int]*own
}

// own is what belongs to one client.
type own struct {
	items       map[int64]int64 // key now → key at its insert
	parts       map[int64][2]int64
	title, body string
	written     bool // has a document
	heap        map[int64]int
	hits        int64
	marks       map[int64]bool
}

func newModel() *model {
	m := &model{clients: map[int]*own{}}
	for i := range m.balance {
		m.balance[i] = initialBalance
	}
	return m
}

func (m *model) client(c int) *own {
	o := m.clients[c]
	if o == nil {
		o = &own{items: map[int64]int64{}, parts: map[int64][2]int64{}, heap: map[int64]int{}, marks: map[int64]bool{}}
		m.clients[c] = o
	}
	return o
}

// apply carries out one change of a client. The changes of one client come in their order; between clients
// the order does not matter.
func (m *model) apply(client int, o op) {
	w := m.client(client)
	switch o.kind {
	case opTransfer:
		m.balance[o.a] -= o.c
		m.balance[o.b] += o.c
	case opItem:
		w.items[o.a] = o.a
	case opItemDelete:
		delete(w.items, o.a)
	case opRekey:
		if first, ok := w.items[o.a]; ok {
			delete(w.items, o.a)
			w.items[o.b] = first
		}
	case opPart:
		w.parts[o.a] = [2]int64{o.b, 0}
	case opPartUpdate:
		if p, ok := w.parts[o.a]; ok {
			w.parts[o.a] = [2]int64{p[0], o.c}
		}
	case opDocument:
		w.body = document(client, o.a)
		if !w.written {
			w.title, w.written = "new", true
		}
	case opTitle:
		if w.written {
			w.title = fmt.Sprintf("title %d", o.a)
		}
	case opHeap:
		w.heap[o.a]++
	case opHeapUpdate:
		if k := w.heap[o.a]; o.a != o.b {
			w.heap[o.b] += k
			delete(w.heap, o.a)
		}
	case opHeapDelete:
		delete(w.heap, o.a)
	case opCounter:
		w.hits++
	case opMark:
		w.marks[o.a] = true
	}
}

// ledgerQueries read each table in the form in which rows returns the model.
var ledgerQueries = []struct{ table, sql string }{
	{"account", "select format('%s: %s', id, balance) from ledger.account"},
	{"item", "select format('%s/%s: %s', client, k, v) from ledger.item"},
	{"part", "select format('%s/%s: slot %s, v %s', client, n, slot, v) from ledger.part"},
	{"document", "select format('%s: %s, %s', client, title, md5(body)) from ledger.document"},
	{"heap", "select format('%s: %s', client, v) from ledger.heap"},
	{"counter", "select format('%s: %s', client, hits) from ledger.counter"},
	{"mark", "select format('%s/%s', client, n) from ledger.mark"},
}

// rows returns every row of a table, in no order; equal rows come as often as they are there.
func (m *model) rows(table string) []string {
	if table == "account" {
		var out []string
		for id, b := range m.balance {
			out = append(out, fmt.Sprintf("%d: %d", id, b))
		}
		return out
	}
	var out []string
	for c, w := range m.clients {
		out = append(out, w.rows(table, c)...)
	}
	return out
}

func (w *own) rows(table string, c int) []string {
	var out []string
	switch table {
	case "item":
		for k, first := range w.items {
			out = append(out, fmt.Sprintf("%d/%d: item %d", c, k, first))
		}
	case "part":
		for n, p := range w.parts {
			out = append(out, fmt.Sprintf("%d/%d: slot %d, v %d", c, n, p[0], p[1]))
		}
	case "document":
		if w.written {
			out = append(out, fmt.Sprintf("%d: %s, %s", c, w.title, w.body))
		}
	case "heap":
		for v, k := range w.heap {
			for range k {
				out = append(out, fmt.Sprintf("%d: %d", c, v))
			}
		}
	case "counter":
		if w.hits > 0 {
			out = append(out, fmt.Sprintf("%d: %d", c, w.hits))
		}
	case "mark":
		for n := range w.marks {
			out = append(out, fmt.Sprintf("%d/%d", c, n))
		}
	}
	return out
}

// compare returns what is missing from got and what is in it too much, equal rows counted.
func compare(want, got []string) (missing, extra []string) {
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	for _, g := range got {
		count[g]--
	}
	for row, k := range count {
		for ; k > 0; k-- {
			missing = append(missing, row)
		}
		for ; k < 0; k++ {
			extra = append(extra, row)
		}
	}
	sort.Strings(missing)
	sort.Strings(extra)
	return missing, extra
}

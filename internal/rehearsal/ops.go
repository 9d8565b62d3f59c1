package rehearsal

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Accounts are shared by all clients; everything else in the ledger belongs to one client, so that its own
// transactions alone say what must be there.
const (
	accounts       = 1000
	initialBalance = 1000
	documentParts  = 640 // md5 texts of 32 characters: 20 kB, which is kept out of line
)

// op is one change of a transaction. It means something whatever happened to the transactions before it: a
// delete of a row that is not there does nothing, on the server and in the model.
type op struct {
	kind string
	a, b int64
	c    int64
}

// The kinds of changes.
const (
	opTransfer   = "transfer"    // c from account a to b
	opItem       = "item"        // insert item a
	opItemDelete = "item delete" // delete item a
	opRekey      = "rekey"       // the key of item a becomes b
	opPart       = "part"        // insert part a into slot b
	opPartUpdate = "part update" // update part a in slot b
	opDocument   = "document"    // write a document of 20 kB, number a
	opTitle      = "title"       // change the title alone: the long value stays as it is
	opHeap       = "heap"        // insert a row with value a into a table without key
	opHeapUpdate = "heap update" // a becomes b, in every equal row
	opHeapDelete = "heap delete" // delete every row with value a
	opCounter    = "counter"     // insert … on conflict do update
	opSavepoint  = "savepoint"   // insert item a, and roll back to the savepoint
	opMark       = "mark"        // insert into a table whose key is generated always
)

// pick makes the changes of client's transaction n. They depend on the random numbers alone, never on what
// a server answered.
func pick(r *rand.Rand, n int64) []op {
	recent := func() int64 { return max(1, n-1-r.Int64N(40)) }
	var ops []op
	if r.IntN(100) < 60 {
		from, to := r.Int64N(accounts), r.Int64N(accounts-1)
		if to >= from {
			to++
		}
		ops = append(ops, op{opTransfer, from, to, 1 + r.Int64N(50)})
	}
	for _, c := range []struct {
		percent int
		make    func() op
	}{
		{40, func() op { return op{kind: opItem, a: n} }},
		{8, func() op { return op{kind: opItemDelete, a: recent()} }},
		{8, func() op { return op{kind: opRekey, a: recent(), b: 1_000_000_000 + n} }},
		{12, func() op { return op{kind: opPart, a: n, b: n % 3} }},
		{8, func() op { k := recent(); return op{kind: opPartUpdate, a: k, b: k % 3, c: n} }},
		{2, func() op { return op{kind: opDocument, a: n} }},
		{4, func() op { return op{kind: opTitle, a: n} }},
		{4, func() op { return op{kind: opHeap, a: r.Int64N(4)} }},
		{4, func() op { return op{kind: opHeapUpdate, a: r.Int64N(4), b: r.Int64N(4)} }},
		{4, func() op { return op{kind: opHeapDelete, a: r.Int64N(4)} }},
		{15, func() op { return op{kind: opCounter} }},
		{8, func() op { return op{kind: opSavepoint, a: -n} }},
		{8, func() op { return op{kind: opMark, a: n} }},
	} {
		if r.IntN(100) < c.percent {
			ops = append(ops, c.make())
		}
	}
	return ops
}

// sql is the statement of the change, made by client. The texts hold numbers and fixed words only.
func (o op) sql(client int) string {
	switch o.kind {
	case opTransfer: // the lower id first: two transfers never wait for each other in a circle
		first, second, d := o.a, o.b, -o.c
		if first > second {
			first, second, d = second, first, o.c
		}
		return fmt.Sprintf("update ledger.account set balance = balance + (%d) where id = %d; update ledger.account set balance = balance + (%d) where id = %d", d, first, -d, second)
	case opItem:
		return fmt.Sprintf("insert into ledger.item (client, k, v) values (%d, %d, 'item %d')", client, o.a, o.a)
	case opItemDelete:
		return fmt.Sprintf("delete from ledger.item where client = %d and k = %d", client, o.a)
	case opRekey:
		return fmt.Sprintf("update ledger.item set k = %d where client = %d and k = %d", o.b, client, o.a)
	case opPart:
		return fmt.Sprintf("insert into ledger.part (slot, client, n, v) values (%d, %d, %d, 0)", o.b, client, o.a)
	case opPartUpdate:
		return fmt.Sprintf("update ledger.part set v = %d where slot = %d and client = %d and n = %d", o.c, o.b, client, o.a)
	case opDocument:
		body := fmt.Sprintf("(select string_agg(md5('%d/%d/' || i), '' order by i) from generate_series(1, %d) i)", client, o.a, documentParts)
		return fmt.Sprintf("insert into ledger.document (client, title, body) values (%d, 'new', %s) on conflict (client) do update set body = excluded.body", client, body)
	case opTitle:
		return fmt.Sprintf("update ledger.document set title = 'title %d' where client = %d", o.a, client)
	case opHeap:
		return fmt.Sprintf("insert into ledger.heap (client, v) values (%d, %d)", client, o.a)
	case opHeapUpdate:
		return fmt.Sprintf("update ledger.heap set v = %d where client = %d and v = %d", o.b, client, o.a)
	case opHeapDelete:
		return fmt.Sprintf("delete from ledger.heap where client = %d and v = %d", client, o.a)
	case opCounter:
		return fmt.Sprintf("insert into ledger.counter (client, hits) values (%d, 1) on conflict (client) do update set hits = ledger.counter.hits + 1", client)
	case opSavepoint:
		return fmt.Sprintf("savepoint s; insert into ledger.item (client, k, v) values (%d, %d, 'rolled back'); rollback to savepoint s", client, o.a)
	case opMark:
		return fmt.Sprintf("insert into ledger.mark (client, n) values (%d, %d)", client, o.a)
	}
	panic("rehearsal: no such change: " + o.kind)
}

// payload is what the ledger's own row of a transaction holds.
func payload(client int, n int64) string { return fmt.Sprintf("client %d, number %d", client, n) }

// document is the md5 of the document that opDocument writes: long values are compared by their md5.
func document(client int, number int64) string {
	var b strings.Builder
	for i := 1; i <= documentParts; i++ {
		fmt.Fprintf(&b, "%x", md5.Sum(fmt.Appendf(nil, "%d/%d/%d", client, number, i)))
	}
	return fmt.Sprintf("%x", md5.Sum([]byte(b.String())))
}

package rehearsal

import (
	"context"
	"fmt"
	"sort"
	"strconv"

	"pgleap/internal/pg"
)

// entry is a row of ledger.entry.
type entry struct {
	key
	payload    string
	ticket, id int64
}

// ledger is what the target's ledger holds in the end.
type ledger struct {
	entries map[key][]entry
	rows    map[string][]string // of the other tables, as in the model
	sum     string
}

func readLedger(ctx context.Context, server Server) (ledger, error) {
	l := ledger{entries: map[key][]entry{}, rows: map[string][]string{}}
	err := server.admin(ctx, func(a *pg.Session) error {
		rows, err := a.Script(ctx, "select client, n, payload, ticket, id from ledger.entry")
		if err != nil {
			return err
		}
		for _, r := range rows {
			client, _ := strconv.Atoi(r[0]) // integers by their column's type
			n, _ := strconv.ParseInt(r[1], 10, 64)
			e := entry{key: key{client, n}, payload: r[2]}
			e.ticket, _ = strconv.ParseInt(r[3], 10, 64)
			e.id, _ = strconv.ParseInt(r[4], 10, 64)
			l.entries[e.key] = append(l.entries[e.key], e)
		}
		for _, q := range ledgerQueries {
			rows, err := a.Script(ctx, q.sql)
			if err != nil {
				return err
			}
			for _, r := range rows {
				l.rows[q.table] = append(l.rows[q.table], r[0])
			}
		}
		rows, err = a.Script(ctx, "select coalesce(sum(balance), 0) from ledger.account")
		if err == nil {
			l.sum = rows[0][0]
		}
		return err
	})
	if err != nil {
		return l, fmt.Errorf("read the ledger: %w", err)
	}
	return l, nil
}

// judgeLost holds the clients' log against the target: each row of the ledger's own table, and the state of
// every other table after the acknowledged transactions, and nothing else.
func (w *walk) judgeLost(target ledger) (wrong []string, good string, err error) {
	s := &w.verdict.Ledger
	attempts := w.load.record.attempts
	sort.SliceStable(attempts, func(i, j int) bool { return attempts[i].Start < attempts[j].Start })
	known, model := map[key]bool{}, newModel()
	for _, a := range attempts {
		k := key{a.Client, a.N}
		found := target.entries[k]
		switch a.Outcome {
		case acknowledged:
			known[k] = true
			s.count(a)
			for _, o := range a.ops {
				model.apply(a.Client, o)
			}
			wrong = append(wrong, s.judge(a, found)...)
		case unknown:
			known[k] = true
			s.Unknown++
			if len(found) == 0 {
				continue
			}
			s.UnknownPresent++
			for _, o := range a.ops {
				model.apply(a.Client, o)
			}
			if len(found) > 1 {
				s.Duplicated++
				wrong = append(wrong, fmt.Sprintf("%v with an unknown outcome is there %d times", k, len(found)))
			}
		}
	}
	for k, found := range target.entries {
		if !known[k] {
			s.Strange += len(found)
			wrong = append(wrong, fmt.Sprintf("%v is on the target, but was never acknowledged", k))
		}
	}
	for _, q := range ledgerQueries {
		missing, extra := compare(model.rows(q.table), target.rows[q.table])
		for _, m := range missing {
			wrong = append(wrong, fmt.Sprintf("ledger.%s lacks (%s)", q.table, m))
		}
		for _, e := range extra {
			wrong = append(wrong, fmt.Sprintf("ledger.%s has (%s), which the acknowledged transactions do not make", q.table, e))
		}
	}
	sort.Strings(wrong)
	return wrong, fmt.Sprintf("%d acknowledged transactions, all of their rows are there, and nothing else", s.Acknowledged), nil
}

func (s *LedgerSummary) count(a attempt) {
	s.Acknowledged++
	if a.Side == "source" {
		s.OnSource++
	} else {
		s.OnTarget++
	}
}

// judge holds one acknowledged transaction against its rows.
func (s *LedgerSummary) judge(a attempt, found []entry) []string {
	k := key{a.Client, a.N}
	switch {
	case len(found) == 0:
		s.Lost++
		return []string{fmt.Sprintf("%v, acknowledged by the %s, is lost", k, a.Side)}
	case len(found) > 1:
		s.Duplicated++
		return []string{fmt.Sprintf("%v is there %d times", k, len(found))}
	}
	s.Found++
	if e := found[0]; e.payload != payload(a.Client, a.N) || e.ticket != a.Ticket || e.id != a.ID {
		s.Strange++
		return []string{fmt.Sprintf("%v is not what was acknowledged: ticket %d, id %d, %q", k, e.ticket, e.id, e.payload)}
	}
	return nil
}

// codeUnique is a unique violation. The ledger's only keys that can meet one come from sequences.
const codeUnique = "23505"

// ledgerSequences are those whose numbers clients are told.
var ledgerSequences = []struct {
	name string
	of   func(attempt) []int64
}{
	{"ledger.ticket", func(a attempt) []int64 { return []int64{a.Ticket, a.Early} }},
	{"ledger.entry.id", func(a attempt) []int64 { return []int64{a.ID} }},
}

// judgeDuplicates looks at the keys on the target, and at every number that clients got from either server.
func (w *walk) judgeDuplicates(target ledger) (wrong []string, good string, err error) {
	n := 0
	for _, sequence := range ledgerSequences {
		seen := map[int64]attempt{}
		for _, a := range w.load.record.attempts {
			for _, v := range sequence.of(a) {
				if v == 0 {
					continue
				}
				n++
				if first, ok := seen[v]; ok {
					w.verdict.Ledger.Twice++
					wrong = append(wrong, fmt.Sprintf("%s handed out %d twice: to %v on the %s, to %v on the %s", sequence.name, v,
						key{first.Client, first.N}, first.Side, key{a.Client, a.N}, a.Side))
				}
				seen[v] = a
			}
		}
	}
	for _, a := range w.load.record.attempts {
		if a.Outcome == failed && a.Code == codeUnique {
			wrong = append(wrong, fmt.Sprintf("%v got a number on the %s that was handed out before: %s", key{a.Client, a.N}, a.Side, a.Message))
		}
	}
	ids := map[int64]key{}
	for k, found := range target.entries {
		if len(found) > 1 {
			wrong = append(wrong, fmt.Sprintf("%v is there %d times", k, len(found)))
		}
		for _, e := range found {
			if other, ok := ids[e.id]; ok && other != k {
				wrong = append(wrong, fmt.Sprintf("the key %d of ledger.entry is there twice", e.id))
			}
			ids[e.id] = k
		}
	}
	sort.Strings(wrong)
	return wrong, fmt.Sprintf("no key twice; %d numbers handed out by both servers, none twice", n), nil
}

func judgeSum(target ledger) (wrong []string, good string, err error) {
	want := strconv.Itoa(accounts * initialBalance)
	if target.sum != want {
		return []string{fmt.Sprintf("the accounts hold %s, not %s", target.sum, want)}, "", nil
	}
	return nil, fmt.Sprintf("the accounts still hold %s", want), nil
}

// String names the transaction.
func (k key) String() string { return fmt.Sprintf("transaction %d of client %d", k.n, k.client) }

package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// followDeadline is how long a server may take to catch up once the load has ended.
const followDeadline = 30 * time.Second

// following is whether the server that was left follows the other one.
type following struct {
	does bool
	why  string // it does not
}

// followed waits until the server that was left has what the other one has, if a subscription carries it there.
func (w *walk) followed(ctx context.Context) (f following, err error) {
	now, left := w.final()
	err = left.admin(ctx, func(a *pg.Session) error {
		rows, err := a.Script(ctx, `select 1 from pg_subscription where subenabled
			and subdbid = (select oid from pg_database where datname = current_database())`)
		f.does = len(rows) > 0
		return err
	})
	if err != nil {
		return f, err
	}
	if !f.does {
		f.why = fmt.Sprintf("nothing carries what is written on the %s to the %s", sideName(now), sideName(left))
		return f, nil
	}
	err = now.admin(ctx, func(a *pg.Session) error {
		f.does, err = caughtUp(ctx, a)
		return err
	})
	if err == nil && !f.does {
		f.why = fmt.Sprintf("the %s does not catch up with the %s within %s", sideName(left), sideName(now), followDeadline)
	}
	return f, err
}

// caughtUp waits until a subscription has applied what the session's server has written so far.
func caughtUp(ctx context.Context, a *pg.Session) (bool, error) {
	rows, err := a.Script(ctx, "select pg_current_wal_insert_lsn()")
	if err != nil {
		return false, err
	}
	// The message is WAL that is nobody's: without any, what is confirmed would stand still. The oracle's slot is no
	// subscription's.
	look := `select from pg_logical_emit_message(false, 'rehearsal', '');
		select 1 from pg_replication_slots where active and plugin = 'pgoutput' and confirmed_flush_lsn >= ` + plan.QuoteLiteral(rows[0][0])
	for deadline := time.Now().Add(followDeadline); ; {
		rows, err := a.Script(ctx, look)
		if err != nil || len(rows) > 1 {
			return err == nil, err
		}
		if time.Now().After(deadline) || !pause(ctx, 20*time.Millisecond) {
			return false, ctx.Err()
		}
	}
}

// judgeBack holds that the server that was left last has everything, too: what the clients wrote on either came to
// the other, once, over the whole trip.
func (w *walk) judgeBack(ctx context.Context, found ledger, f following) (wrong []string, good string, err error) {
	now, left := w.final()
	if !f.does {
		return []string{f.why}, "", nil
	}
	other, err := readLedger(ctx, left)
	if err != nil {
		return nil, "", err
	}
	for k, entries := range found.entries {
		if n := len(other.entries[k]); n != len(entries) {
			wrong = append(wrong, fmt.Sprintf("%v is there %d times on the %s, and %d times on the %s", k, len(entries), sideName(now), n, sideName(left)))
		}
	}
	for k := range other.entries {
		if len(found.entries[k]) == 0 {
			wrong = append(wrong, fmt.Sprintf("%v is on the %s only", k, sideName(left)))
		}
	}
	for _, q := range ledgerQueries {
		missing, extra := compare(found.rows[q.table], other.rows[q.table])
		for _, m := range missing {
			wrong = append(wrong, fmt.Sprintf("ledger.%s lacks (%s) on the %s", q.table, m, sideName(left)))
		}
		for _, e := range extra {
			wrong = append(wrong, fmt.Sprintf("ledger.%s has (%s) on the %s only", q.table, e, sideName(left)))
		}
	}
	for i, t := range w.turns {
		if t.Direction == back && t.StallMS > milliseconds(w.config.Budget.WriteStall) {
			wrong = append(wrong, fmt.Sprintf("rollback %d stalled writes for %.0f ms", i/2+1, t.StallMS))
		}
	}
	slices.Sort(wrong)
	return wrong, fmt.Sprintf("%d times back: what was written on either server is on the other, once (%d transactions)", len(w.turns)/2, len(found.entries)), nil
}

// handedBack finds numbers that a sequence gave after a switch although the other server had been beyond them before.
func (w *walk) handedBack() (wrong []string) {
	for _, sequence := range ledgerSequences {
		first, last := map[int]int64{}, map[int]int64{} // by period: 0 is before the first switch
		for _, a := range w.load.record.attempts {
			for _, v := range sequence.of(a) {
				if v == 0 || a.Outcome != acknowledged {
					continue
				}
				p := w.period(a)
				if f, ok := first[p]; !ok || v < f {
					first[p] = v
				}
				last[p] = max(last[p], v)
			}
		}
		for _, p := range slices.Sorted(maps.Keys(first)) {
			if before, ok := last[p-1]; ok && first[p] <= before {
				wrong = append(wrong, fmt.Sprintf("%s gave %d after switch %d, and %d before it", sequence.name, first[p], p, before))
			}
		}
	}
	return wrong
}

// period says behind how many switches a transaction was carried out: its server tells, where the time alone does not.
func (w *walk) period(a attempt) int {
	p := 0
	for _, t := range w.turns {
		if t.released <= a.End {
			p++
		}
	}
	if on := w.on(p); on == a.Side {
		return p
	}
	if p < len(w.turns) && a.End >= w.turns[p].begun { // the answer was here before the word of the release
		return p + 1
	}
	return p - 1
}

// on is the side that clients write to behind so many switches.
func (w *walk) on(switches int) plan.Side {
	if switches%2 == 0 {
		return plan.Source
	}
	return plan.Target
}

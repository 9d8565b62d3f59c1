package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Hold keeps tables of PostgreSQL's own first copy from beginning. Inside a table nothing can slow a copy down; but
// before a worker takes its snapshot on the source it writes into its table's row of pg_subscription_rel that it has
// begun. Whoever holds a lock on that row keeps it waiting: with a connection to the source, but without a
// transaction, snapshot or slot there (tried 13 → 18). Apply goes on meanwhile. A SHARE lock on the table itself would
// stop that, too, with the first change of a table that is held.
//
// A row lock ends with its session: without us the copy goes on unthrottled.
//
// A subscription begins its tables in the order of those rows, and no more than max_sync_workers_per_subscription at a
// time: it is enough to hold the first few.
type Hold struct {
	Open  func(ctx context.Context) (*pg.Target, error)
	Lanes []plan.Lane
	Jobs  int                  // tables at a time; 0: as many as the target's settings allow
	Rate  int64                // bytes per second, kept between tables; 0: any
	Sizes map[plan.Name]int64  // bytes of the tables
	Why   func() string        // why no table may begin now; "": they may
	Tell  func(message string) // what is waited for

	width    int // how many rows are held at a time
	holders  []*holder
	next     time.Time            // from when on the rate allows another table
	released map[uint32]time.Time // tables that were let go
}

// holder is a session whose open transaction locks one table's row.
type holder struct {
	session *pg.Target
	lane    plan.Lane // whose tables it holds
	relid   uint32    // 0: none
	table   plan.Name
}

// ErrMayNotHold is returned where the role may not lock rows of pg_subscription_rel: only a superuser may.
var ErrMayNotHold = errors.New("only a superuser of the target can keep tables of PostgreSQL's own copy from beginning")

const (
	holdPoll = poll / 2
	// spare is how many rows are held beyond those whose workers can wait: a worker that fails lets the next one's start.
	spare = 2
	// unclaimed is how long a table that was let go may take to begin; its worker may have failed.
	unclaimed = 5 * time.Second
)

// Begin holds the first tables. Where it is called before the subscription is enabled, none has begun by then.
func (h *Hold) Begin(ctx context.Context) error {
	h.released = map[uint32]time.Time{}
	t, err := h.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.QueryRow(ctx, `select least(current_setting('max_sync_workers_per_subscription')::int, current_setting('max_logical_replication_workers')::int)`).Scan(&h.width); err != nil {
		return fmt.Errorf("read how many tables are copied at a time: %w", err)
	}
	h.width = (h.width + spare) * len(h.Lanes)
	return h.fill(ctx)
}

// Follow lets one table after the other begin, until all have, nothing keeps them any more, or ctx ends; then nothing is
// held.
func (h *Hold) Follow(ctx context.Context) error {
	defer h.Close()
	tick := time.NewTicker(holdPoll)
	defer tick.Stop()
	for {
		left, err := h.step(ctx)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Close lets everything go.
func (h *Hold) Close() {
	for _, one := range h.holders {
		one.session.Close()
	}
	h.holders = nil
}

// step lets those tables begin that may, and returns how many have not.
func (h *Hold) step(ctx context.Context) (left int, err error) {
	if h.Jobs == 0 && h.Rate == 0 && h.Why() == "" {
		return 0, nil
	}
	if err := h.fill(ctx); err != nil {
		return 0, err
	}
	for {
		left, copying, err := h.count(ctx)
		if err != nil || left == 0 {
			return left, err
		}
		i := slices.IndexFunc(h.holders, func(one *holder) bool { return one.relid != 0 })
		if i < 0 {
			return left, nil
		}
		if why := h.refusal(copying, h.holders[i].table); why != "" {
			h.Tell(why)
			return left, nil
		}
		if err := h.release(ctx, i); err != nil {
			return left, err
		}
	}
}

// refusal says why the table may not begin now; "": it may.
func (h *Hold) refusal(copying int, table plan.Name) string {
	switch {
	case h.Why() != "":
		return h.Why()
	case h.Jobs > 0 && copying >= h.Jobs:
		return fmt.Sprintf("the next table begins when one of the %d that are being copied is done (--copy-jobs)", copying)
	case h.Rate > 0 && time.Now().Before(h.next):
		return fmt.Sprintf("%s begins in %s (--max-copy-rate)", plan.OneLine(table.String()), plan.HumanDuration(time.Until(h.next).Round(time.Second)))
	}
	return ""
}

// release lets the table of a holder begin, and puts the holder behind the others.
func (h *Hold) release(ctx context.Context, i int) error {
	one := h.holders[i]
	h.released[one.relid] = time.Now()
	if h.Rate > 0 {
		if now := time.Now(); h.next.Before(now) {
			h.next = now
		}
		h.next = h.next.Add(time.Duration(float64(h.Sizes[one.table]) / float64(h.Rate) * float64(time.Second)))
	}
	h.holders = append(slices.Delete(h.holders, i, i+1), one)
	return one.letGo(ctx)
}

// count returns how many tables have not begun, and how many are being copied or are about to be.
func (h *Hold) count(ctx context.Context) (left, copying int, err error) {
	var recent []uint32
	for relid, at := range h.released {
		if time.Since(at) < unclaimed {
			recent = append(recent, relid)
		}
	}
	t, err := h.session(ctx)
	if err != nil {
		return 0, 0, err
	}
	err = t.QueryRow(ctx, `select count(*) filter (where srsubstate = 'i'), count(*) filter (where srsubstate in ('d', 'f') or srsubstate = 'i' and srrelid = any ($2::oid[]))
from pg_subscription_rel where srsubid in `+ofSubscriptions, objects(h.Lanes), recent).Scan(&left, &copying)
	if err != nil {
		return 0, 0, fmt.Errorf("count the tables that have not begun: %w", err)
	}
	return left, copying, nil
}

const ofSubscriptions = `(select oid from pg_subscription where subname = any ($1) and subdbid = (select oid from pg_database where datname = current_database()))`

// session is any of the holders': a lock on a row does not keep it from reading.
func (h *Hold) session(ctx context.Context) (*pg.Target, error) {
	if len(h.holders) == 0 {
		if err := h.fill(ctx); err != nil {
			return nil, err
		}
	}
	return h.holders[0].session, nil
}

// fill lets every holder hold a row, as far as there are some.
func (h *Hold) fill(ctx context.Context) error {
	for len(h.holders) < h.width {
		t, err := h.Open(ctx)
		if err != nil {
			return err
		}
		h.holders = append(h.holders, &holder{session: t, lane: h.Lanes[len(h.holders)%len(h.Lanes)]})
	}
	empty := map[int]bool{} // lanes of which there is none for the other holders either
	for _, one := range h.holders {
		if one.relid != 0 || empty[one.lane.N] {
			continue
		}
		if err := h.take(ctx, one); err != nil {
			return err
		}
		empty[one.lane.N] = one.relid == 0
	}
	return nil
}

// take locks the next row that nobody has. One that was let go is left alone: its worker may not have woken up yet.
func (h *Hold) take(ctx context.Context, one *holder) error {
	gone := make([]uint32, 0, len(h.released))
	for relid := range h.released {
		gone = append(gone, relid)
	}
	if _, err := one.session.Exec(ctx, "begin"); err != nil {
		return fmt.Errorf("hold a table's copy: %w", err)
	}
	err := one.session.QueryRow(ctx, `select r.srrelid::int8, n.nspname, c.relname from pg_subscription_rel r join pg_class c on c.oid = r.srrelid join pg_namespace n on n.oid = c.relnamespace
where r.srsubstate = 'i' and r.srrelid <> all ($2::oid[]) and r.srsubid in `+ofSubscriptions+`
order by r.ctid limit 1 for update of r skip locked`, []string{one.lane.Object()}, gone).Scan(&one.relid, &one.table.Schema, &one.table.Name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return one.letGo(ctx)
	case pg.Code(err) == pg.CodePrivilege:
		return ErrMayNotHold
	}
	return fmt.Errorf("hold a table's copy: %w", err)
}

func (one *holder) letGo(ctx context.Context) error {
	one.relid, one.table = 0, plan.Name{}
	if _, err := one.session.Exec(ctx, "rollback"); err != nil {
		return fmt.Errorf("let a table's copy go: %w", err)
	}
	return nil
}

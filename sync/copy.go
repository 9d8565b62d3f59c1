package sync

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// TableState is how far one table's first copy is.
type TableState struct {
	Table  plan.Name `json:"table"`
	State  string    `json:"state"` // init, copying, copied, ready
	Copied int64     `json:"copied_bytes"`

	Built   int `json:"built"` // indexes, constraints and statistics that are there
	ToBuild int `json:"to_build"`
}

// stateNames spells out srsubstate: i, d, f (14+), s, r.
var stateNames = map[string]string{"i": "init", "d": "copying", "f": "copied", "s": "copied", "r": "ready"}

// Tables reads the state of every table of the run's subscription, and the bytes copied so far of those that
// are being copied: from pg_stat_progress_copy where it exists, else from the size on the target.
func Tables(ctx context.Context, t *pg.Target, run plan.RunID) ([]TableState, error) {
	copied := `case when sr.srsubstate in ('i', 'd') then pg_table_size(sr.srrelid) else 0 end`
	join := ""
	if t.Version().Has(pgver.ProgressCopy) {
		copied = `coalesce(p.bytes_processed, 0)`
		join = `left join pg_stat_progress_copy p on p.relid = sr.srrelid and p.datname = current_database()`
	}
	rows, err := t.Query(ctx, `select n.nspname, c.relname, sr.srsubstate::text, `+copied+`::int8
from pg_subscription_rel sr join pg_class c on c.oid = sr.srrelid join pg_namespace n on n.oid = c.relnamespace `+join+`
where sr.srsubid = (select oid from pg_subscription where subname = $1 and subdbid = (select oid from pg_database where datname = current_database()))
order by 1, 2`, run.Object())
	if err != nil {
		return nil, fmt.Errorf("read the state of the first copy: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (TableState, error) {
		var s TableState
		var state string
		err := r.Scan(&s.Table.Schema, &s.Table.Name, &state, &s.Copied)
		s.State = stateNames[state]
		return s, err
	})
}

// StreamTables is Tables for a copy in streams that goes on, of which no catalog tells: done are those whose rows are known
// to be there, and what has pages on the target is being copied.
func StreamTables(ctx context.Context, t *pg.Target, tables []plan.Relation, done map[plan.Name]bool) ([]TableState, error) {
	sizes, err := readSizes(ctx, t, tables)
	if err != nil {
		return nil, err
	}
	states := make([]TableState, len(tables))
	for i, r := range tables {
		states[i] = TableState{Table: r.Name, State: "init"}
		switch now := sizes[r.Name]; {
		case done[r.Name]:
			states[i].State = "copied"
		case now.pages > 0:
			states[i].State, states[i].Copied = "copying", now.bytes
		}
	}
	return states, nil
}

// FollowCopy waits until every table of the lane is ready, reports bytes of all lanes, and says what is wrong when nothing
// moves. loaded is told, more than once, which
// tables' rows are there.
//
// On a source where nobody writes it writes markers itself while tables are to catch up: their workers notice
// that they are done when something arrives, and else only at a keepalive (10 s a table, measured 10 → 12).
func FollowCopy(ctx context.Context, source *pg.Source, t *pg.Target, lanes []plan.Lane, step plan.Step, emit func(plan.Event), loaded func(plan.Name)) error {
	sizes, total := sizesOf(lanes)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	started, nudged := time.Now(), time.Time{}
	for {
		ready, all, bytes := 0, 0, int64(0)
		for _, l := range lanes {
			states, err := Tables(ctx, t, l.Run)
			if err != nil {
				return err
			}
			for _, st := range states {
				if st.State == "copied" || st.State == "ready" {
					loaded(st.Table)
				}
			}
			r, b := Progress(states, sizes)
			ready, all, bytes = ready+r, all+len(states), bytes+b
			if l.N == max(1, step.Lane) && r == l.Relations() {
				return nil
			}
			if r < l.Relations() && time.Since(started) > 5*time.Second {
				if err := explainStall(ctx, t, l, len(lanes) > 1, step, states, emit); err != nil {
					return err
				}
			}
		}
		emit(plan.Event{Kind: plan.EventProgress, Step: step.ID, Bytes: bytes, Total: total, Data: map[string]any{"tables_ready": ready, "tables": all}})
		if time.Since(nudged) > nudgeEvery(time.Since(started)) {
			nudged = time.Now()
			if err := nudge(ctx, source, lanes); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func sizesOf(lanes []plan.Lane) (sizes map[plan.Name]int64, total int64) {
	sizes = map[plan.Name]int64{}
	for _, l := range lanes {
		for _, r := range l.Tables {
			sizes[r.Name] = r.Bytes
			total += r.Bytes
		}
	}
	return sizes, total
}

func nudge(ctx context.Context, source *pg.Source, lanes []plan.Lane) error {
	for _, l := range lanes {
		if _, err := source.Exec(ctx, NudgeStatement(l), string(lanes[0].Run)); err != nil {
			return fmt.Errorf("write a marker: %w", err)
		}
	}
	return nil
}

// nudgeEvery is how often a marker is written when the copy has taken so long: a table that catches up says so
// in its worker's memory alone.
func nudgeEvery(elapsed time.Duration) time.Duration {
	return min(max(elapsed/20, 500*time.Millisecond), 10*time.Second)
}

// NudgeStatement writes the lane's one marker that is not a switch's.
func NudgeStatement(l plan.Lane) string {
	return "insert into " + l.Marker() + " (id, run) values (0, $1)"
}

// Progress counts the tables that are ready and the bytes that are there. A table's copy is counted by its
// text, which can be longer than the table: never more than the table counts.
func Progress(states []TableState, sizes map[plan.Name]int64) (ready int, bytes int64) {
	for _, st := range states {
		switch st.State {
		case "ready":
			ready++
			bytes += sizes[st.Table]
		case "copied":
			bytes += sizes[st.Table]
		default:
			bytes += min(st.Copied, sizes[st.Table])
		}
	}
	return ready, bytes
}

// explainStall tells the operator why the copy does not move, where the catalogs know.
func explainStall(ctx context.Context, t *pg.Target, lane plan.Lane, named bool, step plan.Step, states []TableState, emit func(plan.Event)) error {
	w, err := ReadWorker(ctx, t, lane.Run)
	if err != nil {
		return err
	}
	text := w.Trouble()
	if text == "" {
		return nil
	}
	var waiting []string
	for _, st := range states {
		if st.State == "init" || st.State == "copying" {
			waiting = append(waiting, st.Table.String())
		}
	}
	if n := len(waiting); n > 3 {
		waiting = append(waiting[:3], fmt.Sprintf("and %d more", n-3))
	}
	if len(waiting) > 0 {
		text += ". Not copied yet: " + strings.Join(waiting, ", ")
	}
	if named {
		text = lane.String() + ": " + text
	}
	emit(plan.Event{Kind: plan.EventWaiting, Step: step.ID, Message: text})
	return nil
}

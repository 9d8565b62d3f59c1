package sync

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// CallCatchUp waits until the target has what was written during a copy in streams.
const CallCatchUp = "catch-up"

const (
	// caughtUp is the lag, in bytes of WAL, at which the target counts as near: a moment of most sources.
	caughtUp = 8 << 20
	// inVain is for how long a lag may not shrink before nobody waits any more.
	inVain = 2 * time.Minute
)

// catchUpStep comes last where the rows came in streams: PostgreSQL's own copy calls a table ready only when it has caught
// up, streams leave behind what was written since their snapshot.
func catchUpStep() plan.Step {
	return plan.Step{
		ID: "subscribe.catch-up", Title: "wait until what was written since the snapshot has arrived", On: plan.Target, Recorded: true,
		Why:    "it is applied by one worker a lane; a lag that does not shrink is told, and not waited for",
		Do:     plan.Action{Call: CallCatchUp},
		ByHand: plan.NothingByHand("Look at the lag until it is small: select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) from pg_replication_slots"),
		Notice: "the WAL that it keeps becomes less",
	}
}

// CatchUp waits until no lane is far behind, and reports how far they are; or until the lag of one does not shrink any
// more, which is told.
func CatchUp(ctx context.Context, source *pg.Source, lanes []plan.Lane, step plan.Step, emit func(plan.Event)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var first, least int64
	shrank := time.Now()
	for {
		var worst Lag
		for _, l := range lanes {
			lag, err := ReadLag(ctx, source, l.Run)
			if err != nil {
				return err
			}
			if lag.Bytes >= worst.Bytes {
				worst = lag
			}
		}
		if worst.Bytes <= caughtUp {
			return nil
		}
		if first == 0 || worst.Bytes < least {
			least, shrank = worst.Bytes, time.Now()
		}
		first = max(first, worst.Bytes)
		emit(plan.Event{Kind: plan.EventProgress, Step: step.ID, Bytes: first - worst.Bytes, Total: first - caughtUp, Data: map[string]any{"lag_bytes": worst.Bytes}})
		if time.Since(shrank) > inVain {
			emit(plan.Event{Kind: plan.EventNote, Step: step.ID, Message: fmt.Sprintf("the target is %s behind, and that does not become less: it is not waited for any longer. pgleap status tells whether it keeps up, and what helps", plan.HumanBytes(worst.Bytes))})
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

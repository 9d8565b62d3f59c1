package sync

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

const mostStreams = 4

// streamJobs is how many streams there are at a time where nothing is said: on a source with few processors, if those are
// known (else 0), no more than it has, and one less where clients write to it.
func streamJobs(processors int, written bool) int {
	switch {
	case processors == 0:
		return mostStreams
	case written:
		return min(max(processors-1, 1), mostStreams)
	}
	return min(max(processors, 2), mostStreams)
}

// A source that writes more WAL than writtenBytes in writtenWithin has clients that write: some 50 small transactions a second.
// Idle, it writes some hundred bytes a minute.
const (
	writtenBytes  = 4 << 10
	writtenWithin = 250 * time.Millisecond
)

// written looks whether anybody writes to the source now.
func written(ctx context.Context, source *pg.Source) (bool, error) {
	var at [2]pg.LSN
	for i := range at {
		if i > 0 {
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(writtenWithin):
			}
		}
		if err := source.QueryRow(ctx, "select pg_current_wal_insert_lsn()").Scan(&at[i]); err != nil {
			return false, fmt.Errorf("look whether the source is written to: %w", err)
		}
	}
	return at[1]-at[0] > writtenBytes, nil
}

// jobs is how many streams there are at a time.
func (s *Streams) jobs(ctx context.Context, source *pg.Source) (int, error) {
	if s.Jobs > 0 {
		return s.Jobs, nil
	}
	alone := streamJobs(s.Processors, false)
	if streamJobs(s.Processors, true) == alone {
		return alone, nil
	}
	busy, err := written(ctx, source)
	if err != nil || !busy {
		return alone, err
	}
	n := streamJobs(s.Processors, true)
	s.Emit(plan.Event{Kind: plan.EventNote, Step: s.Step.ID, Message: fmt.Sprintf("the source has %s and is written to: %s at a time instead of %d, for the sake of who writes; --copy-jobs chooses otherwise", plan.Plural(s.Processors, "processor"), plan.Plural(n, "stream"), alone)})
	return n, nil
}

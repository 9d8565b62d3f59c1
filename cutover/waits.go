package cutover

import (
	"context"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// ApplyBlockers returns the sessions of the target that the run's apply worker waits for at this moment: while
// there are any, no drain can end.
func ApplyBlockers(ctx context.Context, t *pg.Target, run plan.RunID) ([]pg.Blocker, error) {
	return applyBlockers(ctx, t, run)
}

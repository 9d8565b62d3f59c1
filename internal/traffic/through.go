package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// throughPatience is how long clients that were let go on may take to get a connection to their server: a login takes
// milliseconds, and is tried again all the time.
const throughPatience = 3 * time.Second

// Through fails when clients that were let go on do not get through where their pooler points: PgBouncer believes any
// address. Nobody is looked after where nobody waits. A pooler that cannot be asked is told, and is no failure.
func (t *Traffic) Through(ctx context.Context) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), throughPatience)
	defer cancel()
	return t.each(func(n *node) error {
		through, err := n.GetThrough(limited, n.entry.Name)
		switch {
		case err != nil:
			t.emit(plan.EventNote, "whether the clients of %s get through cannot be asked: %v", n, err)
		case !through:
			return fmt.Errorf("%s: clients of %q wait in vain, it has no connection to %s, where it points now; the reason is in its log", n, n.entry.Name, n.at[t.toward()])
		}
		return nil
	})
}

// dialTimeout bounds a look from here at the address that a pooler shall be pointed at.
const dialTimeout = 2 * time.Second

// unreached says why an address that was given for the poolers' sake cannot be reached from here, "" where it can, or
// where none was given.
func (t *Traffic) unreached(ctx context.Context, n *node) string {
	if t.toward() != plan.Target || t.TargetAt.Host == "" {
		return ""
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	at := n.at[plan.Target]
	err := pg.Dial(limited, at.Host, at.Port)
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + plan.HumanDuration(dialTimeout)
	}
	if err != nil {
		return t.Redact(err.Error())
	}
	return ""
}

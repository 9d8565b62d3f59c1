package pipeline

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// lookEvery is how often a statement that may wait for somebody's lock is looked after.
const lookEvery = 500 * time.Millisecond

// watched runs f, whose statements on the run's sessions may wait for somebody's lock, and says meanwhile for
// whom. It returns those that were in the way last.
func (r *run) watched(ctx context.Context, step plan.StepID, f func() error) ([]pg.Blocker, error) {
	return r.watchedOn(ctx, step, r.source, r.target, f)
}

// watchedOn is watched where others than the run's own sessions may wait; nil is none.
func (r *run) watchedOn(ctx context.Context, step plan.StepID, s *pg.Source, t *pg.Target, f func() error) ([]pg.Blocker, error) {
	watching, stop := context.WithCancel(ctx)
	seen := make(chan []pg.Blocker, 1)
	var onSource, onTarget uint32 // 0 where the server is lost and the run goes on without it
	if s != nil {
		onSource = s.PID()
	}
	if t != nil {
		onTarget = t.PID()
	}
	go func() { seen <- r.lookForBlockers(watching, step, onSource, onTarget) }()
	err := f()
	stop()
	return <-seen, err
}

// lookForBlockers looks after the backend onSource and the backend onTarget; none where 0. It opens its sessions at
// the first look: most statements are over before.
func (r *run) lookForBlockers(ctx context.Context, step plan.StepID, onSource, onTarget uint32) (last []pg.Blocker) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var source *pg.Source
	var target *pg.Target
	defer func() {
		if source != nil {
			source.Close()
		}
		if target != nil {
			target.Close()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
		if onSource != 0 && (source == nil || !source.Alive()) { // where it cannot be had now, or was lost, the next look tries again
			source, _ = r.OpenSource(ctx)
		}
		if onTarget != 0 && (target == nil || !target.Alive()) {
			target, _ = r.OpenTarget(ctx)
		}
		look := func(q pg.Querier, pid uint32, on plan.Side) {
			if now, err := pg.Blockers(ctx, q, pid); err == nil && len(now) > 0 {
				last = now
				r.emit(plan.Event{
					Kind: plan.EventWaiting, Step: step, Message: fmt.Sprintf("on the %s a lock is waited for: %s", on, now[0]),
					Data: map[string]any{"waiting_for": len(now), "pid": now[0].PID},
				})
			}
		}
		if source != nil {
			look(source, onSource, plan.Source)
		}
		if target != nil {
			look(target, onTarget, plan.Target)
		}
	}
}

// comparedSoon makes the comparisons of a gate: where somebody's lock keeps the definitions from being read for as long
// as writes may stand still, the switch would not get its own locks either.
func (r *run) comparedSoon(ctx context.Context, d plan.Direction, compare func() error) error {
	limit := fmt.Sprintf("set lock_timeout = '%dms'", r.Options.MaxWriteStall.Milliseconds())
	for _, s := range []*pg.Session{r.source.Session, r.target.Session} {
		if _, err := s.Exec(ctx, limit); err != nil {
			return fmt.Errorf("limit the wait for locks: %w", err)
		}
	}
	blockers, err := r.watched(ctx, "", compare)
	if pg.Code(err) == pg.CodeLockTimeout {
		fix := d.Words("run pgleap cutover again when the cause is gone")
		for _, b := range blockers {
			fix = fmt.Sprintf(d.Words("let that transaction end, or end it with: select pg_terminate_backend(%d); then run pgleap cutover again"), b.PID)
		}
		return plan.Fail(plan.KindNotSwitched, fix, "the switch was not begun, writes were never stopped: the definitions could not be read within %s (--max-write-stall): %w%s",
			plan.HumanDuration(r.Options.MaxWriteStall), err, waitsFor(blockers))
	}
	if err != nil {
		return err
	}
	for _, s := range []*pg.Session{r.source.Session, r.target.Session} {
		if _, err := s.Exec(ctx, "set lock_timeout = 0"); err != nil {
			return fmt.Errorf("lift the limit on the wait for locks: %w", err)
		}
	}
	return nil
}

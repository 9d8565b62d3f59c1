package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgleap/plan"
	pgsync "pgleap/sync"
)

// heldInVain is for how long an index build waits for WAL that does not become less.
const heldInVain = time.Minute

// limitsTables tells whether the operator limits the server's own copy.
func limitsTables(o plan.Options) bool {
	return o.Copy != plan.CopyStream && (o.MaxCopyRate > 0 || o.CopyJobs > 0)
}

// mayHold refuses limits on the server's own copy that could not be kept, before anything is begun.
func (r *run) mayHold(ctx context.Context) error {
	if !limitsTables(r.Options) {
		return nil
	}
	var super bool
	if err := r.target.QueryRow(ctx, `select rolsuper from pg_roles where rolname = current_user`).Scan(&super); err != nil {
		return fmt.Errorf("read the role of the target: %w", err)
	}
	if super {
		return nil
	}
	return plan.Fail(plan.KindBlocked, "leave --max-copy-rate and --copy-jobs out, or copy with --copy stream, which keeps them with any role", "--max-copy-rate and --copy-jobs with --copy server: %w", pgsync.ErrMayNotHold)
}

// keepTables holds the tables of the server's copy that have not begun where something asks for it and nothing does.
func (g *walGuard) keepTables(ctx context.Context) {
	if g.copying.Load() == 0 || g.Options.Copy == plan.CopyStream || g.why() == "" && !limitsTables(g.Options) {
		return
	}
	if err := g.hold(ctx); err != nil && ctx.Err() == nil {
		g.emit(plan.Event{Kind: plan.EventNote, Message: "tables that have not begun are NOT held back: " + err.Error()})
	}
}

// hold begins to keep tables from beginning, unless somebody does.
func (g *walGuard) hold(ctx context.Context) error {
	g.mu.Lock()
	if g.holding || g.mayNot {
		g.mu.Unlock()
		return nil
	}
	g.holding = true
	g.mu.Unlock()
	h := &pgsync.Hold{Open: g.OpenTarget, Lanes: g.lanes, Jobs: g.Options.CopyJobs, Rate: max(g.Options.MaxCopyRate, 0), Sizes: g.sizes, Why: g.why, Tell: g.tellNext}
	err := h.Begin(ctx)
	if err != nil {
		h.Close()
		g.ended(err)
		return err
	}
	g.spawn(func(ctx context.Context) {
		err := h.Follow(ctx)
		g.ended(err)
		if err != nil && ctx.Err() == nil {
			g.emit(plan.Event{Kind: plan.EventNote, Message: "tables that have not begun were let go, and are held again: " + err.Error()})
		}
	})
	return nil
}

func (g *walGuard) ended(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = false
	g.mayNot = g.mayNot || errors.Is(err, pgsync.ErrMayNotHold)
}

// tellNext says now and then when the next table begins; why none does at all is told with each look.
func (g *walGuard) tellNext(message string) {
	if g.why() != "" {
		return
	}
	g.mu.Lock()
	tell := time.Since(g.toldAt) >= guardEvery
	if tell {
		g.toldAt = time.Now()
	}
	g.mu.Unlock()
	if tell {
		g.emit(plan.Event{Kind: plan.EventWaiting, Message: message, Data: map[string]any{"reason": "throttle"}})
	}
}

// admitted waits until the step may begin. Before the subscription is enabled the tables are held that are not to begin
// yet; and while the WAL that is kept is near its limit no other index build takes the lock that apply waits for, as
// long as that helps.
func (r *run) admitted(ctx context.Context, stage plan.Stage, s plan.Step) error {
	g := r.walGuard
	switch {
	case g == nil:
		return nil
	case s.ID == pgsync.StepEnable && r.Options.Copy != plan.CopyStream && (limitsTables(r.Options) || g.why() != ""):
		if err := g.hold(ctx); err != nil && limitsTables(r.Options) {
			return err
		}
	case s.Batch != "" && (stage.ID == plan.StageFinish || r.Options.Copy != plan.CopyStream): // streams are not followed yet
		return g.awaitRoom(ctx, stage, s)
	}
	return nil
}

func (g *walGuard) awaitRoom(ctx context.Context, stage plan.Stage, s plan.Step) error {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for started := time.Now(); ; {
		g.mu.Lock()
		wal, kept := g.wal, g.kept
		g.mu.Unlock()
		if wal == "" || time.Since(started) > heldInVain && kept.Growth >= 0 {
			return nil
		}
		g.emit(plan.Event{Kind: plan.EventWaiting, Stage: stage.ID, Step: s.ID, Message: "no other index build begins, so that apply can catch up: " + wal, Data: kept.data("retained-wal")})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

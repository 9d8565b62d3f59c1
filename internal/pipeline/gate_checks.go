package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// judgeGate refuses what CheckGate blocks, and tells what it warns of.
func (r *run) judgeGate(ctx context.Context) error {
	pooled, err := r.pooledPIDs(ctx)
	if err != nil {
		return err
	}
	g, err := catalog.Gate(ctx, r.source, r.target, r.sel, pooled)
	if err != nil {
		return err
	}
	if r.Options.Guarded(r.sel) {
		var standing int
		if err := r.source.QueryRow(ctx, plan.Standing).Scan(&standing); err != nil {
			return fmt.Errorf("count the tables that bear the guard: %w", err)
		}
		g.Unguarded = max(0, len(r.sel.Fenced())-standing-len(g.FenceOff))
	}
	return r.refuse(plan.CheckGate(g), "mend it, then run pgleap cutover again", "the switch was not begun, writes were never stopped")
}

// refuse fails on blockers; warnings are told, unless they are accepted.
func (r *run) refuse(findings []plan.Finding, fix, what string) error {
	var blockers []plan.Finding
	for _, f := range findings {
		switch {
		case f.Severity == plan.Blocker:
			blockers = append(blockers, f)
		case f.Severity == plan.Warning && !slices.Contains(r.Options.Accept, f.Check):
			r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: findingLine(f), Data: map[string]any{"check": f.Check}})
		}
	}
	if len(blockers) == 0 {
		return nil
	}
	return plan.Fail(plan.KindNotReady, fix, "%s:%s", what, listed(blockers, findingLine))
}

// needless are checks of what the begun run has behind it: they say nothing about the switch.
var needless = []string{"pg-dump", "target-empty", "leftovers", "slot-headroom", "worker-headroom", "schema-loads", "capacity"}

// checkAgain makes every check once more when the last time is too long ago. The servers may have changed since.
func (r *run) checkAgain(ctx context.Context) error {
	var age float64
	if err := r.target.QueryRow(ctx, `select coalesce(extract(epoch from clock_timestamp() - max(at)), 1e9)::float8 from pgleap.event where kind = $1`, journal.Checked).Scan(&age); err != nil {
		return fmt.Errorf("read when the last full check was: %w", err)
	}
	if age < plan.MaxCheckAge.Seconds() {
		return nil
	}
	r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: fmt.Sprintf("check-age: the last full check is more than %s old, every check is made again", plan.HumanDuration(plan.MaxCheckAge))})
	now, err := Read(ctx, r.Config)
	if err != nil {
		return err
	}
	findings := plan.Check(now.Source, now.Target, r.plan.Options)
	known := func(f plan.Finding) bool {
		return slices.Contains(needless, f.Check) || f.Severity != plan.Blocker && slices.ContainsFunc(r.plan.Findings, func(p plan.Finding) bool { return p.Check == f.Check && p.Object == f.Object })
	}
	if err := r.refuse(slices.DeleteFunc(findings, known), "mend it, then run pgleap cutover again; see also pgleap check", "the switch was not begun, writes were never stopped: the check was made again, and it blocks"); err != nil {
		return err
	}
	return r.journal.Record(ctx, journal.Checked, plan.StageSwitch, "", nil)
}

// markerWait is how long a marker may be under way before the switch; the drain has the budget alone.
const markerWait = 2 * time.Second

// markerArrives sends a marker through each subscription while nobody waits yet: what does not drain now would not
// drain with the writers stopped either.
func (r *run) markerArrives(ctx context.Context) (o obstacle, err error) {
	began := time.Now()
	late, err := r.lanesMeet(ctx, r.source, r.target, min(markerWait, r.Options.MaxWriteStall))
	if err != nil || late == nil {
		return o, err
	}
	lag, err := pgsync.ReadLag(ctx, r.source, late.Run)
	if err != nil {
		return o, err
	}
	return obstacle{
		check:  "lag",
		reason: r.named(*late, fmt.Sprintf(r.direction.Words("a marker needs more than %s to reach the target, which is %s behind: the drain would take as long, with the writers stopped"), plan.HumanDuration(time.Since(began)), plan.HumanBytes(lag.Bytes))),
		fix:    r.fixLater(),
	}, nil
}

// lanesMeet writes a marker into every lane at once and waits until each has arrived: then all lanes have brought what was
// committed before. It returns the first lane that was too late, nil for none.
func (r *run) lanesMeet(ctx context.Context, source *pg.Source, target *pg.Target, limit time.Duration) (late *plan.Lane, err error) {
	lanes := plan.Marked(r.carrying())
	id := time.Now().UnixNano()
	if _, err := source.Exec(ctx, lanes.Write("$1", "$2", ""), id, string(r.Run)); err != nil {
		return nil, fmt.Errorf("write a marker: %w", err)
	}
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(lanes) > 0 {
		var arrived bool
		if err := target.QueryRow(ctx, "select "+lanes[:1].Arrived("$1"), id).Scan(&arrived); err != nil {
			return nil, fmt.Errorf("look for the marker: %w", err)
		}
		if arrived {
			lanes = lanes[1:]
			continue
		}
		if time.Since(began) >= limit {
			return &lanes[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	return nil, nil
}

package pipeline

import (
	"context"

	"pgleap/internal/catalog"
	"pgleap/plan"
)

// tellBack judges once more, right before a switch, whether its way back is possible. It is told, and stops nothing: the
// switch itself is refused where the slot cannot be made.
func (r *run) tellBack(ctx context.Context, source plan.Facts) error {
	if !r.plan.HasWayBack() {
		return nil
	}
	target, err := catalog.Read(ctx, r.target, plan.Target, r.Run)
	if err != nil {
		return err
	}
	if len(plan.WayBack(source, target, r.plan.Options)) == 0 {
		back := r.mirrored()
		reach, err := back.reach(ctx, back.Target)
		if err != nil {
			return err
		}
		source.ReachesTarget = &reach
	}
	for _, f := range plan.WayBack(source, target, r.plan.Options) {
		if !f.Accepted {
			r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: findingLine(f), Data: map[string]any{"check": f.Check}})
		}
	}
	return nil
}

package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"time"

	"pgleap/plan"
)

// statements returns the floor's, for what the tool's sync has made.
func (s *Stage) statements() *ByHand {
	name := s.Run.Object()
	return &ByHand{Source: s.Source.address, Target: s.Target.address, Publication: name, Subscription: name}
}

// byHand is the walk's cutover without the tool.
func (w *walk) byHand(ctx context.Context, t *turn, onEvent func(plan.Event)) error {
	b := w.stage.statements()
	defer b.Close()
	if err := b.Prepare(ctx); err != nil {
		return fmt.Errorf("switch by hand: %w", err)
	}
	t.begun = w.load.record.now()
	var fence string
	parts, err := w.paused(ctx, func(p *bouncer) (parts map[string]float64, err error) {
		if fence, parts, err = b.Switch(ctx); err != nil || p == nil {
			return parts, err
		}
		return parts, p.point(ctx, t.to)
	})
	if err != nil {
		return fmt.Errorf("switch by hand: %w", err)
	}
	onEvent(Released(fence, parts))
	return nil
}

// paused runs f between PAUSE and RESUME and adds their times to its parts; without a pooler it is f alone, which
// gets nil.
func (w *walk) paused(ctx context.Context, f func(*bouncer) (map[string]float64, error)) (map[string]float64, error) {
	if w.stage.pooler == nil {
		return f(nil)
	}
	p, err := w.stage.openBouncer(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	begin := time.Now()
	if err := p.pause(ctx); err != nil {
		return nil, err
	}
	pause := milliseconds(time.Since(begin))
	parts, err := f(p)
	if err := p.resume(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	parts = maps.Clone(parts)
	parts["pause_ms"], parts["script_ms"], parts["stall_ms"] = pause, parts["stall_ms"], milliseconds(time.Since(begin))
	return parts, nil
}

// Released is the event that cutover prints when clients may go to the target.
func Released(fence string, parts map[string]float64) plan.Event {
	data := map[string]any{"fence_lsn": fence, "attempts": 1}
	for k, v := range parts {
		data[k] = v
	}
	return plan.Event{Time: time.Now(), Kind: plan.EventReleased, Stage: plan.StageRelease, Data: data}
}

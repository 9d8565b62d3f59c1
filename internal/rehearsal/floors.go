package rehearsal

import (
	"context"
	"fmt"
	"time"
)

// floor is one measurement of what no switch can be faster than, on the load's clock.
type floor struct {
	script   bool // the statements of ByHand stood between PAUSE and RESUME, else nothing
	from, to time.Duration
	parts    map[string]float64
}

// floorRest is the load between two of them: what piled up behind one must be worked off before the next.
const floorRest = 400 * time.Millisecond

// measureFloors pauses the pooler again and again, under the load that the switch will meet: with nothing between
// PAUSE and RESUME, and with a switch by hand that is taken back.
func (w *walk) measureFloors(ctx context.Context) error {
	if w.config.Floors == 0 {
		return nil
	}
	start := time.Now()
	b := w.stage.statements()
	defer b.Close()
	if err := b.Prepare(ctx); err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	for i := range 2 * w.config.Floors {
		f := floor{script: i%2 == 1, from: w.load.record.now()}
		var err error
		f.parts, err = w.paused(ctx, func(*bouncer) (map[string]float64, error) {
			if !f.script {
				return map[string]float64{}, nil
			}
			return b.Rehearse(ctx)
		})
		if err != nil {
			return fmt.Errorf("measure the floor: %w", err)
		}
		f.to = w.load.record.now()
		w.floors = append(w.floors, f)
		if err := w.load.run(ctx, floorRest); err != nil {
			return err
		}
	}
	if err := b.Remove(ctx); err != nil {
		return err
	}
	w.phase("floor", start, fmt.Sprintf("PAUSE and RESUME, and a switch by hand between them: %d times each", w.config.Floors))
	return nil
}

// judgeFloors measures what the clients saw of each.
func (w *walk) judgeFloors(acknowledged []time.Duration) {
	if len(w.floors) == 0 {
		return
	}
	var pause, script, hand []float64
	for _, f := range w.floors {
		stall, _ := gap(acknowledged, f.from, f.to+floorRest/2)
		if f.script {
			hand = append(hand, milliseconds(stall))
			script = append(script, f.parts["script_ms"])
		} else {
			pause = append(pause, milliseconds(stall))
		}
	}
	w.verdict.Floor = &Floor{Pause: NewSpread(pause), Script: NewSpread(script), Hand: NewSpread(hand)}
}

package rehearsal

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"pgleap/plan"
)

// switchOver runs cutover, and turns the endpoint at the tool's word.
func (w *walk) switchOver(ctx context.Context) error {
	start := time.Now()
	var err error
	if w.snapshot, err = prepareSnapshot(ctx, w.stage.Target); err != nil {
		return err
	}
	enough, err := w.load.knock(w.loadCtx)
	if err != nil {
		return err
	}
	defer enough()
	secrets := w.stage.watchSecrets(ctx, 50*time.Millisecond)
	w.cutover = w.load.record.now()
	var trouble error
	onEvent := func(e plan.Event) {
		if e.Kind == plan.EventReleased && w.released == nil {
			w.released = &e
			trouble = w.release(ctx)
		}
	}
	err = w.command(ctx, onEvent)
	if err := w.endSecrets(secrets, err); err != nil {
		return err
	}
	if trouble != nil {
		return trouble
	}
	if w.released == nil {
		return errors.New("cutover ended well but never said that the target may be written")
	}
	if ms, ok := w.verdict.Switch.Parts["stall_ms"]; ok {
		w.measured(ComparesStall, ms/1000)
	}
	w.phase("cutover", start, "old server stopped at "+w.verdict.Switch.FenceLSN)
	return nil
}

// command runs cutover.
func (w *walk) command(ctx context.Context, onEvent func(plan.Event)) error {
	if w.config.ByHand {
		return w.byHand(ctx, onEvent)
	}
	args := []string{"cutover", "--json", "--confirm", w.stage.Database, "--report", w.config.Report}
	if w.config.Margin > 0 {
		args = append(args, "--sequence-margin", strconv.FormatInt(w.config.Margin, 10))
	}
	_, killed, err := w.stage.must(ctx, onEvent, args...)
	w.verdict.Switch.Killed += killed
	return err
}

// release takes the snapshot and lets the clients go.
func (w *walk) release(ctx context.Context) error {
	err := w.snapshot.take(ctx)
	w.load.endpoint.flip(w.stage.Target)
	w.flipped = w.load.endpoint.when().Sub(w.load.record.start)
	s := &w.verdict.Switch
	s.HarnessMS = milliseconds(w.snapshot.took)
	s.Parts = map[string]float64{}
	for k, v := range w.released.Data {
		if ms, ok := v.(float64); ok && strings.HasSuffix(k, "_ms") {
			s.Parts[k] = ms
		}
	}
	s.FenceLSN, _ = w.released.Data["fence_lsn"].(string)
	w.stopped = w.cutover
	if ms, ok := s.Parts["stall_ms"]; ok {
		w.stopped = w.flipped - w.snapshot.took - time.Duration(ms*float64(time.Millisecond))
	}
	return err
}

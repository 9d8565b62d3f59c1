package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// The directions of a switch.
const (
	there = "cutover"  // from the old server to the new one
	back  = "rollback" // and back
)

// turn is one switch under way, there or back. Times are on the load's clock.
type turn struct {
	SwitchSummary
	from, to Server

	begun    time.Duration // the command began
	stopped  time.Duration // writes stood still from here …
	released time.Duration // … to here
	end      time.Duration // and the last client that moves by itself was there
	event    *plan.Event   // what the command said at the release
	until    string        // position in the WAL of from, when the next switch began: what follows is none of this one's
}

// turns is how many switches there are.
func (c Config) turns() int {
	switch {
	case c.Trips > 0:
		return 2*c.Trips + 1
	case c.Rollback:
		return 2
	}
	return 1
}

// trips makes every switch, with load between them.
func (w *walk) trips(ctx context.Context) error {
	start := time.Now()
	if err := w.autovacuum(ctx, "set autovacuum = on"); err != nil {
		return err
	}
	for i := range w.config.turns() {
		if i > 0 {
			if err := w.load.run(ctx, w.config.Interval); err != nil {
				return err
			}
		}
		t := &turn{from: w.stage.Source, to: w.stage.Target, SwitchSummary: SwitchSummary{Direction: there}}
		if i%2 == 1 {
			t = &turn{from: w.stage.Target, to: w.stage.Source, SwitchSummary: SwitchSummary{Direction: back}}
		}
		if err := w.closeWindow(ctx); err != nil {
			return err
		}
		w.turns = append(w.turns, t)
		if err := w.turn(ctx, t); err != nil {
			return err
		}
	}
	if err := w.autovacuum(ctx, "reset autovacuum"); err != nil {
		return err
	}
	if len(w.turns) == 1 {
		w.phase(there, start, w.last().said())
	} else {
		w.phase("switches", start, fmt.Sprintf("%d there and %d back", (len(w.turns)+1)/2, len(w.turns)/2))
	}
	return nil
}

// autovacuum changes whether it works on the target of a long run, as it does anywhere: on ours it is off, so that
// statistics that nobody has made are missed.
func (w *walk) autovacuum(ctx context.Context, to string) error {
	if w.config.Trips == 0 || w.config.Target != "" {
		return nil
	}
	return w.stage.Target.admin(ctx, func(a *pg.Session) error {
		for _, sql := range []string{"alter system " + to, "select pg_reload_conf()"} { // the first takes no company
			if _, err := a.Script(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// closeWindow notes until where the server that was left last has to be without writes: it is about to take them again.
func (w *walk) closeWindow(ctx context.Context) error {
	if len(w.turns) == 0 {
		return nil
	}
	t := w.last()
	return t.from.admin(ctx, func(a *pg.Session) error {
		rows, err := a.Script(ctx, "select pg_current_wal_insert_lsn()")
		if err == nil {
			t.until = rows[0][0]
		}
		return err
	})
}

// last is the last turn there was.
func (w *walk) last() *turn { return w.turns[len(w.turns)-1] }

// final is where clients write in the end, and the server that they left.
func (w *walk) final() (now, left Server) { return w.last().to, w.last().from }

// turn runs the command and, at the tool's word, lets the clients go that have no pooler to move them.
func (w *walk) turn(ctx context.Context, t *turn) error {
	start := time.Now()
	if err := w.prepareTurn(ctx); err != nil {
		return err
	}
	enough, err := w.load.knock(w.loadCtx, t.to)
	if err != nil {
		return err
	}
	defer enough()
	secrets := func(err error) error { return err }
	if len(w.turns) <= 2 { // the first of each direction tells; to look costs time that a switch should have
		s := w.stage.watchSecrets(ctx, 50*time.Millisecond)
		secrets = func(err error) error { return w.endSecrets(s, err) }
	}
	t.begun = w.load.record.now()
	var trouble error
	onEvent := func(e plan.Event) {
		if e.Kind == plan.EventReleased && t.event == nil {
			t.event = &e
			trouble = w.release(ctx, t)
		}
	}
	err = w.command(ctx, t, onEvent)
	if err := secrets(err); err != nil {
		return err
	}
	if trouble != nil {
		return trouble
	}
	if t.event == nil {
		return fmt.Errorf("%s ended well but never said that the %s may be written", t.Direction, t.to.Side)
	}
	if ms, ok := t.Parts["stall_ms"]; ok && t.Direction == there {
		w.measured(ComparesStall, ms/1000)
	}
	t.Seconds = time.Since(start).Seconds()
	if w.config.turns() > 1 {
		w.config.Out(fmt.Sprintf("%-10s %s  %.1f s", t.Direction, t.said(), t.Seconds))
	}
	return nil
}

// said is what to tell about the switch as soon as it is done.
func (t *turn) said() string {
	return fmt.Sprintf("%s server stopped at %s", map[string]string{there: "old", back: "new"}[t.Direction], t.FenceLSN)
}

// prepareTurn makes ready to see the target as the only switch finds it. A pooler would have let the clients go by
// the time anybody could look.
func (w *walk) prepareTurn(ctx context.Context) (err error) {
	if w.config.turns() == 1 && w.config.Pooler == PoolerNone {
		w.snapshot, err = prepareSnapshot(ctx, w.stage.Target)
	}
	return err
}

// command runs the switch by what the rehearsal is to make it with.
func (w *walk) command(ctx context.Context, t *turn, onEvent func(plan.Event)) error {
	switch w.config.By {
	case ByStatements:
		return w.byHand(ctx, t, onEvent)
	case ByPublished:
		return w.byPublished(ctx, t, onEvent)
	}
	args := []string{t.Direction, "--json", "--confirm", w.stage.Database, "--report", w.config.Report}
	if w.config.Pooler != PoolerNone { // the console's address is in the environment
		args = append(args, "--pgbouncer-config", w.stage.pooler.ConfigFile())
	}
	if w.config.Margin > 0 {
		args = append(args, "--sequence-margin", strconv.FormatInt(w.config.Margin, 10))
	}
	_, killed, err := w.stage.must(ctx, onEvent, args...)
	t.Killed += killed
	return err
}

// release lets the clients go, after the snapshot if there is to be one.
func (w *walk) release(ctx context.Context, t *turn) error {
	var err error
	var took time.Duration
	if w.snapshot != nil {
		err = w.snapshot.take(ctx)
		took = w.snapshot.took
	}
	w.load.endpoint.flip(t.to)
	t.released = w.load.record.now()
	t.HarnessMS, t.Parts = milliseconds(took), map[string]float64{}
	for k, v := range t.event.Data {
		if ms, ok := v.(float64); ok && strings.HasSuffix(k, "_ms") {
			t.Parts[k] = ms
		}
	}
	if d, ok := t.event.Data["direction"].(string); ok && d != t.Direction {
		return errors.Join(err, fmt.Errorf("%s says that it went in the direction of %q", t.Direction, d))
	}
	t.FenceLSN, _ = t.event.Data["fence_lsn"].(string)
	t.stopped = t.begun
	if ms, ok := t.Parts["stall_ms"]; ok {
		t.stopped = t.released - took - time.Duration(ms*float64(time.Millisecond))
	}
	return err
}

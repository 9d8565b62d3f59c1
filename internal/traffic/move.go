package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/hooks"
	"pgleap/internal/pooler"
	"pgleap/plan"
)

// Hold pauses the clients on every pooler, or on none. Whom a PAUSE waits for is named with what he does.
func (t *Traffic) Hold(ctx context.Context) error {
	if !t.Pooled() {
		return nil
	}
	if t.dog != nil {
		if err := t.dog.tell(word{Word: wordHold}); err != nil {
			return fmt.Errorf("tell the watchdog: %w", err)
		}
	}
	t.point("traffic.armed")
	limited, cancel := context.WithTimeout(ctx, t.PauseTimeout)
	defer cancel()
	err := pooler.PauseAll(limited, t.targets())
	if err == nil {
		return nil
	}
	doing := t.stragglers(err)
	if limited.Err() != nil && ctx.Err() == nil { // not the budget's end
		err = fmt.Errorf("not all clients were held within %s (--pause-timeout): %v", plan.HumanDuration(t.PauseTimeout), err) //nolint:errorlint // see above
	}
	if doing != "" {
		err = fmt.Errorf("%w\non the server: %s", err, doing)
	}
	return err
}

func (t *Traffic) targets() []pooler.Target {
	var all []pooler.Target
	for _, n := range t.nodes {
		all = append(all, pooler.Target{Node: n.Node, Database: n.entry.Name})
	}
	return all
}

// stragglers says what those do on the server for whom a PAUSE waited in vain.
func (t *Traffic) stragglers(err error) string {
	var pids []int32
	for _, e := range pauseErrors(err) {
		for _, s := range e.Stragglers {
			pids = append(pids, int32(s.PID))
		}
	}
	if len(pids) == 0 || t.look == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	rows, err := t.look.Query(ctx, `select format('pid %s, %s, %s, open for %s s: %s', pid, usename, state, extract(epoch from date_trunc('second', clock_timestamp() - coalesce(xact_start, backend_start)))::int, left(query, 200))
		from pg_stat_activity where pid = any ($1::int[]) order by xact_start`, pids)
	if err != nil {
		return ""
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return ""
	}
	for i := range lines {
		lines[i] = plan.OneLine(lines[i])
	}
	return strings.Join(lines, "; ")
}

// lookTimeout bounds a look that only serves the message.
const lookTimeout = time.Second

// pauseErrors are those of every node in a joined error.
func pauseErrors(err error) []*pooler.PauseError {
	if e, ok := err.(*pooler.PauseError); ok {
		return []*pooler.PauseError{e}
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		var all []*pooler.PauseError
		for _, inner := range e.Unwrap() {
			all = append(all, pauseErrors(inner)...)
		}
		return all
	case interface{ Unwrap() error }:
		return pauseErrors(e.Unwrap())
	}
	return nil
}

// Move calls the hook that points those that are held at the side that takes over, and believes it when the poolers say
// so. A file is put in its place, and read, at the release alone: until then a pooler that is started anew must come up
// where the clients were. Where there is no pooler the clients cannot be held, and nothing is moved before the release.
func (t *Traffic) Move(ctx context.Context) error {
	if !t.Pooled() {
		return nil
	}
	defer t.tell(wordMoved) // until then a watchdog at its deadline ends this process: it must not be moved later
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.each(func(n *node) (err error) {
		if n.staged != nil {
			n.staged, err = n.staged.Ready()
		}
		return err
	}); err != nil {
		return err
	}
	return t.turn(ctx)
}

// tell tells the watchdog; one that is gone has nothing left to do.
func (t *Traffic) tell(said string) {
	if t.dog != nil {
		_ = t.dog.tell(word{Word: said})
	}
}

// turn calls the hook, if there is one, and looks at its work where no file of ours does it.
func (t *Traffic) turn(ctx context.Context) error {
	if t.Hooks.Has(hooks.Reroute) {
		if err := t.reroute(ctx, t.toward()); err != nil {
			return err
		}
	}
	return t.each(func(n *node) error {
		if n.file != nil {
			return nil
		}
		return n.ReloadTo(ctx, n.entry.Name, n.at[t.toward()])
	})
}

// reroute calls the hook. The watchdog is told first: a hook that was begun has to be called again to take it back.
func (t *Traffic) reroute(ctx context.Context, side plan.Side) error {
	if side == t.toward() {
		t.mu.Lock()
		t.rerouted = true
		t.mu.Unlock()
		if t.dog != nil {
			if err := t.dog.tell(word{Word: wordReroute}); err != nil {
				return fmt.Errorf("tell the watchdog: %w", err)
			}
		}
	}
	return t.Hooks.Run(ctx, hooks.Reroute, t.call(side), t.Redact)
}

// each does something on every node side by side and joins the errors.
func (t *Traffic) each(do func(*node) error) error {
	errs := make([]error, len(t.nodes))
	var group sync.WaitGroup
	for i, n := range t.nodes {
		group.Go(func() {
			if errs[i] = n.err; errs[i] == nil {
				errs[i] = do(n)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// A RESUME that fails is tried again for so long: a pooler that restarts is not paused any more.
const (
	resumePatience = 5 * time.Second
	resumePoll     = 50 * time.Millisecond
)

// Release lets the clients go on at the side that takes over. Without a pooler it is here that the hook moves them.
func (t *Traffic) Release(ctx context.Context) error { return t.release(ctx, false) }

func (t *Traffic) release(ctx context.Context, looking bool) error {
	if !t.Pooled() {
		return t.Hooks.Run(ctx, hooks.Reroute, t.call(t.toward()), t.Redact)
	}
	if err := t.resume(ctx, looking); err != nil {
		return err
	}
	t.done()
	t.released = true
	return nil
}

// resume lets the clients go on at the side that takes over. Looking, and from the second attempt on, it looks where a
// pooler points before any of its clients goes there.
func (t *Traffic) resume(ctx context.Context, looking bool) error {
	limited, cancel := context.WithTimeout(ctx, resumePatience)
	defer cancel()
	return t.each(func(n *node) error {
		for look := looking; ; look = true {
			err := t.goOn(limited, n, look)
			if err == nil {
				return nil
			}
			select {
			case <-limited.Done():
				return err
			case <-time.After(resumePoll):
			}
		}
	})
}

// goOn lets a pooler's clients go on at the side that takes over, and nowhere else: those of one that points elsewhere are
// held, whoever has let them go on.
func (t *Traffic) goOn(ctx context.Context, n *node, look bool) error {
	if err := n.install(t.toward()); err != nil {
		return err
	}
	want := n.at[t.toward()]
	switch {
	case look:
		if err := n.ReloadTo(ctx, n.entry.Name, want); err != nil {
			return errors.Join(err, n.Hold(ctx, n.entry.Name))
		}
		return n.Resume(ctx, n.entry.Name)
	case n.file == nil: // its hook's work was looked at
		return n.Resume(ctx, n.entry.Name)
	}
	return cmp.Or(n.ResumeTo(ctx, n.entry.Name, want), n.file.Sync())
}

// done tells the watchdog that there is nothing left for it.
func (t *Traffic) done() { t.tell(wordDone) }

// call is what a hook is told when the clients are to go to a side.
func (t *Traffic) call(side plan.Side) hooks.Call {
	c := t.Call()
	if side != t.toward() {
		c = c.With(pair(t.To, t.From)).With(hooks.Call{"PGLEAP_DIRECTION": string(t.Direction.reversed()), "PGLEAP_UNDO": "1"})
	}
	return c
}

func (d Direction) reversed() Direction {
	if d == Rollback {
		return Cutover
	}
	return Rollback
}

package traffic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"pgleap/internal/hooks"
	"pgleap/plan"
)

// backPatience bounds Back: a hook has a deadline of its own.
const backPatience = 10 * time.Second

// Back puts everything back and lets the clients go on at the side that was to be left. It works whatever was done
// before, tries everything, and says that all is well only when it is.
func (t *Traffic) Back(ctx context.Context) error {
	if !t.Pooled() {
		return nil
	}
	t.tell(wordUndo)
	limited, cancel := context.WithTimeout(ctx, backPatience)
	defer cancel()
	hook := t.mustUndoHook(limited)
	if hook { // what counts is where the poolers point then
		if err := t.reroute(ctx, t.away()); err != nil {
			t.emit(plan.EventNote, "called to take itself back: %v", err)
		}
	}
	// Each on its own: one that is out of reach must not keep the others' clients waiting.
	var files atomic.Bool
	if err := t.each(func(n *node) error {
		err := t.giveBack(limited, n, hook)
		var file *fileError
		if errors.As(err, &file) && file.alone {
			t.emit(plan.EventNote, "the clients go on, but the file of %v; see to it before the next RELOAD. The watchdog goes on trying, pgleap repair does it, too", err)
			files.Store(true)
			return nil
		}
		return err
	}); err != nil {
		// What stands in the way here is no check's and no operator's: its kind must not become ours.
		return errors.New(t.Redact(err.Error()) + "\nfix: when it is mended, pgleap repair with the same --pgbouncer, and --pgbouncer-config or --on-reroute as then, puts it right; a watchdog that lives goes on trying by itself")
	}
	if !files.Load() {
		t.done()
	}
	return nil
}

// mustUndoHook tells whether the hook may have moved clients: begun counts. Of what an attempt that was killed has done
// the poolers tell that it has paused, once they have read what it may have written; a hook beside files leaves no trace,
// and is called.
func (t *Traffic) mustUndoHook(ctx context.Context) bool {
	t.mu.Lock()
	begun := t.rerouted
	t.mu.Unlock()
	if begun || t.knows || !t.Hooks.Has(hooks.Reroute) {
		return begun
	}
	for _, n := range t.nodes {
		if n.err != nil {
			continue
		}
		e, err := n.Entry(ctx, n.entry.Name)
		if err == nil && e.Paused {
			if n.file != nil {
				return true
			}
			err = n.Reload(ctx)
		}
		if moved, failed := n.pointsAt(ctx, n.at[t.toward()]); err == nil && failed == nil && moved && n.file == nil {
			return true
		}
	}
	return false
}

// fileError is that a pooler's file could not be put back.
type fileError struct {
	node  *node
	err   error
	alone bool // its clients go on all the same
}

func (e *fileError) Error() string { return fmt.Sprintf("%s could not be put back: %v", e.node, e.err) }
func (e *fileError) Unwrap() error { return e.err }

// filePatience is how long a file that cannot be put back is tried while its clients go on.
const filePatience = time.Second

// giveBack tries until ctx ends. Where nothing listens any more nobody is held, and a PgBouncer that is started again
// reads its file, which is put back first.
func (t *Traffic) giveBack(ctx context.Context, n *node, changed bool) error {
	for began := time.Now(); ; {
		err := t.giveBackOnce(ctx, n, changed)
		if err == nil {
			return nil
		}
		var file *fileError
		if errors.As(err, &file) && file.alone && time.Since(began) > filePatience {
			return err
		}
		if errors.Is(err, syscall.ECONNREFUSED) && (file == nil || errors.Is(file, fs.ErrNotExist)) {
			t.emit(plan.EventNote, "%s does not run any more: nobody is held there", n)
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(resumePoll):
		}
	}
}

// giveBackOnce lets the clients go on as soon as their pooler points where they were, whether or not its file says so,
// too; but all is well only when it does.
func (t *Traffic) giveBackOnce(ctx context.Context, n *node, changed bool) error {
	n.unstage()
	var failed error
	file := &fileError{node: n}
	if file.err = n.putBack(t.away()); file.err != nil {
		failed = file
	}
	if failed == nil && (n.file != nil || changed) {
		if err := n.Reload(ctx); err != nil {
			return err
		}
	}
	moved, err := n.pointsAt(ctx, n.at[t.toward()])
	if err == nil && moved && failed == nil && n.file == nil && !changed {
		if err = n.Reload(ctx); err == nil {
			moved, err = n.pointsAt(ctx, n.at[t.toward()])
		}
	}
	if err != nil {
		return errors.Join(failed, err)
	}
	if moved { // never let them go on there: their writes would be lost, or part
		return errors.Join(fmt.Errorf("%s: %q still points at %s: the clients stay held", n, n.entry.Name, n.at[t.toward()]), failed)
	}
	err = n.Resume(ctx, n.entry.Name)
	file.alone = err == nil
	return errors.Join(err, failed)
}

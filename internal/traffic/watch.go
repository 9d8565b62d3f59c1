package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"pgleap/internal/hooks"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// grace is how long beyond the budget the switch has to take everything back by itself.
const grace = 300 * time.Millisecond

// Watch is the watchdog. It reads its order from in, says on out that it is ready, and waits. When in ends without
// the word that all is well, or the budget does, it asks the one fact that decides, and lets the clients go on at the
// side that is the truth. It never guesses: while the server cannot be asked it goes on asking.
func Watch(ctx context.Context, in io.Reader, out io.WriteCloser, terminal io.Writer, point func(string)) error {
	read := json.NewDecoder(in)
	var o order
	if err := read.Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err) // not shown: it holds passwords
	}
	c, err := o.config()
	if err != nil {
		fmt.Fprintln(out, "its order cannot be read")
		return err
	}
	c.Point = point
	t, err := Open(ctx, c)
	if err == nil {
		defer t.Close()
		err = t.Err()
	}
	if err == nil {
		err = t.reach(ctx)
	}
	if err != nil {
		fmt.Fprintln(out, plan.OneLine(c.Redact(err.Error())))
		return nil
	}
	fmt.Fprintln(out, wordReady)
	_ = out.Close()
	w := &watch{Traffic: t, rest: o.Rest, words: make(chan word), log: slog.New(slog.NewTextHandler(&logFile{path: o.Log, also: terminal}, nil))}
	t.knows = true
	t.Emit = func(e plan.Event) { w.log.Info(e.Message) }
	go w.listen(read)
	return w.wait(ctx)
}

// reach proves that the server which will be asked can be asked.
func (t *Traffic) reach(ctx context.Context) error {
	s, err := t.openFrom(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = stands(ctx, s)
	return err
}

func (t *Traffic) openFrom(ctx context.Context) (*pg.Source, error) {
	return pg.OpenSource(ctx, t.From, pg.Options{Verb: "watchdog" + journal.LockMark})
}

func stands(ctx context.Context, q pg.Querier) (yes bool, err error) {
	if err := q.QueryRow(ctx, "select "+plan.FenceStands).Scan(&yes); err != nil {
		return false, fmt.Errorf("look for the fence: %w", err)
	}
	return yes, nil
}

// watch is the state of a watchdog.
type watch struct {
	*Traffic
	rest         Rest
	words        chan word // closed when the parent is gone
	fence, opens Process
	log          *slog.Logger
}

func (w *watch) listen(read *json.Decoder) {
	defer close(w.words)
	for {
		var m word
		if read.Decode(&m) != nil {
			return
		}
		w.words <- m
	}
}

// wait returns when all is well, or when everything was put right.
func (w *watch) wait(ctx context.Context) error {
	held, mayMove := false, false
	parent, heard := os.Getppid(), time.Now()
	var deadline <-chan time.Time
	for {
		select {
		case m, alive := <-w.words:
			heard = time.Now()
			switch {
			case !alive && !held, m.Word == wordDone:
				return nil
			case !alive:
				w.log.Warn("the process that makes the switch has ended in the middle of it")
				return w.rescue(ctx, false)
			case m.Word == wordHold:
				held, mayMove, w.fence, w.opens = true, true, m.Fence, m.Opens
				deadline = time.After(w.Budget + grace)
			case m.Word == wordReroute:
				w.rerouted = true
			case m.Word == wordMoved, m.Word == wordUndo:
				mayMove = false
			}
		case <-deadline:
			w.log.Warn("the switch is not over at its deadline", "budget", w.Budget.String())
			if mayMove && time.Since(heard) > asleep && os.Getppid() == parent { // asleep, it would move the clients when it wakes, after they were let go on
				w.log.Warn("the process that makes the switch stands still before it has moved the clients: ending it", "pid", parent)
				if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
					w.log.Warn("it cannot be ended", "error", err)
				}
				return w.rescue(ctx, false)
			}
			return w.rescue(ctx, true)
		}
	}
}

// asleep is how long a process that makes a switch may say nothing before it counts as standing still.
const asleep = 5 * beatPoll

// Between two attempts to put things right.
const (
	askPoll = 100 * time.Millisecond
	askMost = 2 * time.Second
	// A server that has just come back must not wait for an attempt that began before; a slow one needs longer.
	askPatience = 2 * time.Second
)

// rescue tries until everything is right, or the parent says so.
func (w *watch) rescue(ctx context.Context, parentLives bool) error {
	said, pause, patience := "", askPoll, askPatience
	for {
		w.point("watchdog.rescue")
		err := w.try(ctx, parentLives, patience)
		if err == nil {
			return nil
		}
		if text := w.Redact(err.Error()); text != said {
			w.log.Warn("not yet right; trying again until it is", "error", text)
			said = text
		}
		select {
		case m, alive := <-w.words:
			if m.Word == wordDone {
				return nil
			}
			if !alive {
				parentLives, w.words = false, nil
			}
		case <-time.After(pause):
			pause, patience = min(2*pause, askMost), min(2*patience, tryTimeout)
		}
	}
}

// tryTimeout bounds one attempt to ask the server.
const tryTimeout = 20 * time.Second

// try asks the fact and acts on it. Who else could be at work is kept off: a parent that is gone by the run lock, one
// that lives by its own.
func (w *watch) try(ctx context.Context, parentLives bool, patience time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	dialed, stop := context.WithTimeout(limited, patience)
	defer stop()
	s, err := w.openFrom(dialed)
	if err != nil {
		return err
	}
	defer s.Close()
	if !parentLives {
		lock, err := journal.Take(limited, s.Session, w.away())
		if err != nil {
			return err
		}
		defer lock.Unlock()
	}
	if err := end(limited, s, w.fence); err != nil {
		return err
	}
	w.point("watchdog.ended")
	fenced, err := stands(limited, s)
	if err != nil {
		return err
	}
	if fenced {
		if err := s.ExecDurably(limited, plan.CloseGate); err != nil { // it is seen closed before it is on disk
			return err
		}
		return w.onward(ctx)
	}
	return w.home(ctx)
}

// home: the fence was never committed, so the side that was to be left is the truth.
func (w *watch) home(ctx context.Context) error {
	w.log.Info("the fence was not committed: the clients go on where they were", "server", w.From.String())
	if err := w.Back(ctx); err != nil {
		return err
	}
	w.log.Info("the clients go on", "server", w.From.String())
	w.report(ctx, hooks.OnAbort, w.Undone("the switch was undone by its watchdog"))
	return nil
}

// onward: the fence stands, so the side that takes over is the truth.
func (w *watch) onward(ctx context.Context) error {
	w.log.Info("the fence was committed: the clients go on at the other server", "server", w.To.String())
	if err := w.Onward(ctx, w.rest, w.opens); err != nil {
		return err
	}
	w.log.Info("the clients go on; the run is finished by pgleap "+string(w.Direction), "server", w.To.String())
	after := hooks.AfterRelease
	if w.Direction == Rollback {
		after = hooks.OnRollback
	}
	w.report(ctx, after, hooks.Call{"PGLEAP_MESSAGE": "the switch was brought to its end by its watchdog"})
	return nil
}

func (w *watch) report(ctx context.Context, h hooks.Hook, more hooks.Call) {
	if err := w.Hooks.Run(ctx, h, w.Call().With(more), w.Redact); err != nil {
		w.log.Warn("a hook failed", "error", err.Error())
	}
}

// logFile is opened with the first line: a watchdog that never had to act leaves none. Nobody can have put another
// file in its place.
type logFile struct {
	path string
	also io.Writer
	file *os.File
}

func (l *logFile) Write(p []byte) (int, error) {
	if l.file == nil {
		l.file, _ = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600) // without it the terminal remains
	}
	if l.file != nil {
		_, _ = l.file.Write(p)
	}
	if l.also != nil {
		_, _ = l.also.Write(p)
	}
	return len(p), nil
}

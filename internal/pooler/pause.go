package pooler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PauseError says which node could not be paused, and why. The pause has been taken back, unless Undo is set.
type PauseError struct {
	Node       *Node
	Database   string
	Stragglers []Straggler // whom it waited for, where it was reached
	Err        error       // a context's, a refusal of the console, or a lost connection
	Undo       error       // why the database may still be paused there
}

// Error names the node, whom it waited for, and how to end a pause that may be left.
func (e *PauseError) Error() string {
	var b strings.Builder
	if errors.Is(e.Err, context.DeadlineExceeded) {
		fmt.Fprintf(&b, "%s has not paused %q in time", e.Node, e.Database)
	} else {
		fmt.Fprintf(&b, "pause %q on %s: %v", e.Database, e.Node, e.Err)
	}
	for i, s := range e.Stragglers {
		if i == 0 {
			b.WriteString("; it waits for")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(" " + s.String())
	}
	if e.Undo != nil {
		fmt.Fprintf(&b, "\nthe pause could not be taken back: %v\nfix: if that PgBouncer still runs, send on its admin console: resume %s", e.Undo, quoteName(e.Database))
	}
	return b.String()
}

// Unwrap returns the causes.
func (e *PauseError) Unwrap() []error {
	if e.Undo == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Undo}
}

// Pause stops an entry's clients: no new transaction gets a server connection, and it returns when the last running
// one has ended and all connections to the server are closed. Clients wait without an error, for query_wait_timeout
// at most (120 s unless set otherwise). If ctx ends first, or the node fails, the pause is taken back; the error is a
// *PauseError. An entry that is paused already is no error.
func (n *Node) Pause(ctx context.Context, db string) error {
	return PauseAll(ctx, []Target{{n, db}})
}

// thawDelay is when a PAUSE has surely arrived. It may be answered much later, and the other entries need not wait for
// that.
const thawDelay = 50 * time.Millisecond

func (n *Node) pause(ctx context.Context, db string) error {
	early := time.AfterFunc(thawDelay, n.thaw)
	defer early.Stop()
	err := n.sendPause(ctx, db)
	if err == nil {
		return nil
	}
	if refused(err) {
		return &PauseError{Node: n, Database: db, Err: err}
	}
	return n.takeBack(ctx, db, err)
}

// holdTimeout is how long Hold waits for PAUSE to be answered, which it is when the last running transaction has ended.
const holdTimeout = 250 * time.Millisecond

// Hold stops an entry's clients where they must not be: whatever runs, and for good. From the moment on that PAUSE arrives
// no new transaction begins.
func (n *Node) Hold(ctx context.Context, db string) error {
	limited, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	sent := n.sendPause(limited, db)
	e, err := n.Entry(ctx, db)
	if err == nil && !e.Paused {
		err = fmt.Errorf("%s: the clients of %q cannot be held: %w", n, db, cmp.Or(sent, errNotPaused))
	}
	return err
}

var errNotPaused = errors.New("it is not paused")

// sendPause waits for the answer. The session is of no more use if it does not come: a RESUME of the other session
// leaves it waiting for ever, and a cancel request is no request to take it back.
func (n *Node) sendPause(ctx context.Context, db string) error {
	n.pausing.Lock()
	defer n.pausing.Unlock()
	command := "pause " + quoteName(db)
	for {
		reused := n.pauser != nil && n.pauser.Alive()
		console, err := n.pauseSession(ctx)
		if err != nil {
			return err
		}
		answers, err := console.Send(ctx, command)
		if err == nil {
			return said(answers[0].Err)
		}
		console.Close()
		n.pauser = nil
		if !reused || ctx.Err() != nil {
			return err // a PauseError names node and command
		}
	}
}

// takeBack ends a pause that did not come about.
func (n *Node) takeBack(ctx context.Context, db string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	failed := &PauseError{Node: n, Database: db, Err: cause}
	failed.Stragglers, _ = n.Stragglers(ctx, db) // the cause counts
	n.awaitPaused(ctx, db)
	failed.Undo = n.Resume(ctx, db)
	return failed
}

// awaitPaused waits until a PAUSE that was sent has arrived: a RESUME that overtakes it would do nothing.
func (n *Node) awaitPaused(ctx context.Context, db string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // it may never have been sent
	defer cancel()
	_ = poll(ctx, func() (bool, error) {
		e, err := n.Entry(ctx, db)
		return e.Paused, err
	})
}

const pollInterval = 5 * time.Millisecond

// poll asks until the answer is yes, or there is an error.
func poll(ctx context.Context, holds func() (bool, error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// hurryCommand sets server_login_retry, in seconds, for the moment after a RESUME: little beside a pause, and not
// hundreds of attempts in a second at a server that is down.
const hurryCommand = "set server_login_retry = '0.01'"

// Resume lets an entry's clients go on; one that is not paused is no error.
//
// Together with it goes a short server_login_retry. A client that logs in between RELOAD and RESUME makes PgBouncer
// start a connection to the server, which the pause cuts off at once; PgBouncer takes the server for one that
// refuses, and would let everybody wait for server_login_retry, 15 s unless set otherwise. Settle, and Close, put it back.
func (n *Node) Resume(ctx context.Context, db string) error {
	n.set(&n.hurried, true)
	answers, err := n.send(ctx, n.thawCommand(), hurryCommand, resumeCommand(db))
	if err != nil {
		return err
	}
	return n.resumed(ctx, db, answers[2].Err) // the settings' own count for less than the clients
}

func resumeCommand(db string) string { return "resume " + quoteName(db) }

// resumed takes no for an answer to RESUME only from an entry that is paused.
func (n *Node) resumed(ctx context.Context, db string, refusal error) error {
	if refusal == nil {
		return nil
	}
	if e, err := n.Entry(ctx, db); err == nil && !e.Paused {
		return nil
	}
	return n.named(resumeCommand(db), refusal)
}

func (n *Node) set(flag *bool, value bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*flag = value
}

// settlePatience bounds how long Close waits for clients to get through.
const settlePatience = 2 * time.Second

// Settle puts server_login_retry back after a Resume, as soon as each pool with clients has a connection to its
// server, or ctx ends. Until then a pool may still hold a cut-off login against its server.
func (n *Node) Settle(ctx context.Context) error {
	n.mu.Lock()
	hurried := n.hurried
	n.mu.Unlock()
	if !hurried {
		return nil
	}
	_ = poll(ctx, func() (bool, error) { return n.connected(ctx) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if _, err := n.command(ctx, "set server_login_retry = "+quoteValue(n.retry)); err != nil {
		return err
	}
	n.set(&n.hurried, false)
	return nil
}

// connected tells whether each pool with clients has a connection to its server.
func (n *Node) connected(ctx context.Context) (bool, error) {
	pools, err := n.command(ctx, "show pools")
	if err != nil {
		return false, err
	}
	for _, row := range pools {
		if row["database"] == "pgbouncer" {
			continue
		}
		clients := number(row["cl_active"]) + number(row["cl_waiting"])
		if clients > 0 && servers(row) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// GetThrough waits until no pool of the entry has clients that wait and no connection to its server, or ctx ends. false
// is that some wait in vain; an error, that the console could not be asked.
func (n *Node) GetThrough(ctx context.Context, db string) (bool, error) {
	asked := false
	err := poll(ctx, func() (bool, error) {
		pools, err := n.command(ctx, "show pools")
		if err != nil {
			return false, err
		}
		asked = true
		return !slices.ContainsFunc(pools, func(row map[string]string) bool {
			return row["database"] == db && number(row["cl_waiting"]) > 0 && servers(row) == 0
		}), nil
	})
	if asked && ctx.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

// servers is how many connections to its server a pool has.
func servers(row map[string]string) int64 {
	return number(row["sv_active"]) + number(row["sv_idle"]) + number(row["sv_used"]) + number(row["sv_tested"])
}

// Target is an entry of a node.
type Target struct {
	Node     *Node
	Database string
}

// PauseAll pauses all targets side by side, or none: when one fails, or ctx ends, all are resumed. The error holds a
// *PauseError for each node that failed by itself.
func PauseAll(ctx context.Context, targets []Target) error {
	defer func() { each(targets, func(t Target) error { t.Node.thaw(); return nil }) }()
	freezeAll(ctx, targets)
	together, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := each(targets, func(t Target) error {
		err := t.Node.pause(together, t.Database)
		if err != nil {
			cancel()
		}
		return err
	})
	if errors.Join(errs...) == nil {
		return nil
	}
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer stop()
	var paused []Target
	for i, t := range targets {
		var pe *PauseError
		switch ours := ctx.Err() == nil && errors.Is(errs[i], context.Canceled); {
		case errs[i] == nil:
			paused = append(paused, t)
		case ours && errors.As(errs[i], &pe) && pe.Undo == nil:
			errs[i] = nil // stopped by another one's failure
		}
	}
	return errors.Join(errors.Join(errs...), ResumeAll(undo, paused))
}

// ResumeAll resumes all targets side by side, whichever of them fail, and joins the errors.
func ResumeAll(ctx context.Context, targets []Target) error {
	return errors.Join(each(targets, func(t Target) error { return t.Node.Resume(ctx, t.Database) })...)
}

func each(targets []Target, do func(Target) error) []error {
	errs := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { errs[i] = do(t) })
	}
	wg.Wait()
	return errs
}

// QueryWaitTimeout is how long a client waits in a pause before PgBouncer fails it; 0 is for ever.
func QueryWaitTimeout(config map[string]string) time.Duration {
	seconds, err := strconv.ParseFloat(config["query_wait_timeout"], 64)
	if err != nil {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

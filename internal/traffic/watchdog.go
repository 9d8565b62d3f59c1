package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"pgleap/internal/hooks"
	"pgleap/internal/pg"
	"pgleap/internal/pooler"
	"pgleap/plan"
)

// Process names a server process for good: process ids come again.
type Process struct {
	PID     uint32 `json:"pid"`
	Started string `json:"started"` // backend_start
}

// Rest is what is still to be done on the side that takes over before clients may go there, once the fence is
// committed.
type Rest struct {
	Steps   []plan.Step  `json:"steps,omitempty"` // created in one transaction, and recorded in the journal
	Stage   plan.StageID `json:"stage,omitempty"`
	Session string       `json:"session,omitempty"` // what the session that creates them sends first
}

// order is all that a watchdog has to know. It goes through a pipe: it holds passwords.
type order struct {
	Run          plan.RunID    `json:"run"`
	Direction    Direction     `json:"direction"`
	From         string        `json:"from"` // connection strings
	To           string        `json:"to"`
	SourceAt     pooler.Values `json:"source_at"`
	TargetAt     pooler.Values `json:"target_at"`
	Poolers      []orderPooler `json:"poolers"`
	Database     string        `json:"database"`
	Budget       time.Duration `json:"budget"`
	PauseTimeout time.Duration `json:"pause_timeout"`
	Hooks        hooks.Set     `json:"hooks"`
	Log          string        `json:"log"` // a file that is not there yet
	Rest         Rest          `json:"rest"`
}

type orderPooler struct {
	Admin string `json:"admin"`
	File  string `json:"file"`
}

func (t *Traffic) order(rest Rest) order {
	o := order{
		Run: t.Run, Direction: t.Direction, From: connection(t.From), To: connection(t.To), SourceAt: t.SourceAt, TargetAt: t.TargetAt, Database: t.Database,
		Budget: t.Budget, PauseTimeout: t.PauseTimeout, Hooks: t.Hooks, Rest: rest,
		Log: fmt.Sprintf("%s/pgleap-watchdog-%s-%d.log", strings.TrimRight(or(t.LogFolder, os.TempDir()), "/"), t.Run, os.Getpid()),
	}
	for _, p := range t.Poolers {
		o.Poolers = append(o.Poolers, orderPooler{Admin: connection(p.Admin), File: p.File})
	}
	return o
}

func connection(a pg.Address) string { return a.Conninfo("pgleap", nil).Reveal() }

// config is the order read back.
func (o order) config() (Config, error) {
	c := Config{
		Run: o.Run, Direction: o.Direction, SourceAt: o.SourceAt, TargetAt: o.TargetAt, Database: o.Database,
		Budget: o.Budget, PauseTimeout: o.PauseTimeout, Hooks: o.Hooks,
	}
	var errs []error
	parse := func(text string) pg.Address {
		a, err := pg.ParseAddress(text)
		errs = append(errs, err)
		return a
	}
	c.From, c.To = parse(o.From), parse(o.To)
	for _, p := range o.Poolers {
		c.Poolers = append(c.Poolers, Pooler{Admin: parse(p.Admin), File: p.File})
	}
	return c, errors.Join(errs...)
}

// word is what the switch tells its watchdog on the way.
type word struct {
	Word  string  `json:"word"`
	Fence Process `json:"fence,omitzero"` // with wordHold
	Opens Process `json:"opens,omitzero"` // the session on the side that takes over
}

// The words. Without a hold nothing is to be done at the end of the pipe, after done neither.
const (
	wordHold    = "hold"
	wordReroute = "reroute"
	wordMoved   = "moved" // or not, but it will not be tried again
	wordUndo    = "undo"
	wordAlive   = "alive" // said again and again while the switch is made
	wordDone    = "done"
)

// watchdog is the process that lets the clients go on when ours cannot.
type watchdog struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	pipe   io.WriteCloser
	words  *json.Encoder
	fence  Process
	opens  Process
	log    string
	exited chan struct{}
}

// readyTimeout bounds the watchdog's own connecting.
const readyTimeout = 15 * time.Second

// Arm starts the watchdog, opens what Hold will need, and calls the hook before-switch: all before anybody waits.
// rest is what only a commit of the fence lets happen.
func (t *Traffic) Arm(ctx context.Context, rest Rest) error {
	t.armed, t.knows = true, true
	if err := t.Hooks.Run(ctx, hooks.BeforeSwitch, t.Call(), t.Redact); err != nil {
		return err
	}
	if !t.Pooled() {
		return nil
	}
	var err error
	if t.look == nil {
		if t.look, err = pg.OpenSource(ctx, t.From, pg.Options{Verb: string(t.Direction), ReadOnly: true}); err != nil {
			return err
		}
	}
	for _, n := range t.nodes { // one after the other: they may share a file
		if err := n.try(ctx, t.toward()); err != nil {
			return err
		}
	}
	for _, n := range t.nodes {
		if err := n.stage(t.toward()); err != nil {
			return err
		}
	}
	if t.dog, err = t.startWatchdog(ctx, rest); err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	t.emit(plan.EventNote, "a watchdog, process %d, lets the clients go on should this process die; should it have to act, its log is %s", t.dog.cmd.Process.Pid, t.dog.log)
	return nil
}

// Fenced takes down which server processes hold the locks, and the deferred definitions.
func (t *Traffic) Fenced(fence, opens Process) {
	if t.dog != nil {
		t.dog.fence, t.dog.opens = fence, opens
	}
}

// startWatchdog runs this program once more, in a session of its own: what the terminal sends does not reach it.
func (t *Traffic) startWatchdog(ctx context.Context, rest Rest) (*watchdog, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := t.order(rest)
	cmd := exec.Command(program, "watchdog")
	cmd.Env = hooks.Environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if t.Terminal != nil {
		cmd.Stderr = t.Terminal
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &watchdog{cmd: cmd, pipe: in, words: json.NewEncoder(in), log: o.Log, exited: make(chan struct{})}
	answer := make(chan string, 1)
	go func() {
		defer close(w.exited)
		line, _ := bufio.NewReader(out).ReadString('\n')
		answer <- strings.TrimSpace(line)
		_ = cmd.Wait() // it says in its log what it did
	}()
	err = w.words.Encode(o)
	if err == nil {
		err = w.ready(ctx, answer)
	}
	if err == nil {
		go w.beat()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watchdog) ready(ctx context.Context, answer chan string) error {
	select {
	case line := <-answer:
		if line == wordReady {
			return nil
		}
		return errors.New(or(line, "it ended without a word"))
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(readyTimeout):
		return fmt.Errorf("it is not ready after %s", plan.HumanDuration(readyTimeout))
	}
}

const wordReady = "ready"

// beatPoll is how often the watchdog hears that the switch is not asleep.
const beatPoll = 50 * time.Millisecond

// beat goes on until the pipe is closed, or nobody reads it any more.
func (w *watchdog) beat() {
	for {
		time.Sleep(beatPoll)
		if w.tell(word{Word: wordAlive}) != nil {
			return
		}
	}
}

func (w *watchdog) tell(m word) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Word == wordHold {
		m.Fence, m.Opens = w.fence, w.opens
	}
	return w.words.Encode(m)
}

// close ends the pipe. One that has nothing to do ends at once, and is waited for: what comes next must find it gone.
func (w *watchdog) close() {
	w.mu.Lock()
	_ = w.pipe.Close()
	w.mu.Unlock()
	select {
	case <-w.exited:
	case <-time.After(closeTimeout):
	}
}

// closeTimeout is how long the end of our own process waits for a watchdog that is acting.
const closeTimeout = 3 * time.Second

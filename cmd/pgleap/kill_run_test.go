package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pgleap/plan"
)

// killOutcome is how one run of the command ended.
type killOutcome struct {
	line   string
	signal syscall.Signal // 0: it ended by itself
	exit   int
	events []plan.Event
	text   string
}

func (o killOutcome) String() string {
	how := fmt.Sprintf("exit %d", o.exit)
	if o.signal != 0 {
		how = o.signal.String()
	}
	return fmt.Sprintf("%s: %s\n%s", o.line, how, o.text)
}

// killRun is a run of pgleap under way.
type killRun struct {
	pair   *killPair
	cmd    *exec.Cmd
	cancel context.CancelFunc
	line   string
	stderr bytes.Buffer

	mu     sync.Mutex
	events []plan.Event
	text   bytes.Buffer
	read   chan struct{} // closed at stdout's end
}

// killPatience bounds one run of the command: a hang is a failure.
const killPatience = 90 * time.Second

// start runs a verb as a process. The clients are let go to the target when it says released.
func (p *killPair) start(verb string, env ...string) *killRun {
	p.t.Helper()
	args := []string{verb, "--json"}
	switch verb {
	case "cutover", "rollback": // what a killed one left open must not hold the next one back
		args = append(args, "--confirm", p.database, "--quiet", "0", "--report", "")
	case "finalize":
		args = append(args, "--confirm", p.database)
	case "sync":
		args = append(args, "--jobs", "2", "--copy", "server") // TestStreamKilled kills the other way
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	c := &killRun{pair: p, cancel: cancel, cmd: exec.CommandContext(ctx, os.Args[0], args...), line: "pgleap " + strings.Join(args, " ") + " " + strings.Join(env, " "), read: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), asCommand+"=1", "PGLEAP_SOURCE="+p.source.server.URI(p.database), "PGLEAP_TARGET="+p.target.server.URI(p.database)), env...)
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			c.event(lines.Bytes())
		}
	}()
	return c
}

func (c *killRun) event(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(append(line, '\n'))
	var e plan.Event
	if json.Unmarshal(line, &e) != nil {
		return
	}
	c.events = append(c.events, e)
	if e.Kind == plan.EventReleased {
		c.pair.load.flip(e.Stage == plan.StageSwitch)
	}
}

// said tells whether such an event was printed.
func (c *killRun) said(kind plan.EventKind, step plan.StepID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.events, func(e plan.Event) bool { return e.Kind == kind && (step == "" || e.Step == step) })
}

// ended tells whether the process has closed its output.
func (c *killRun) ended() bool {
	select {
	case <-c.read:
		return true
	default:
		return false
	}
}

func (c *killRun) kill() killOutcome {
	_ = c.cmd.Process.Kill() // it may have ended: then wait tells
	return c.wait()
}

func (c *killRun) wait() killOutcome {
	<-c.read
	err := c.cmd.Wait()
	c.cancel()
	o := killOutcome{line: c.line, events: c.events, text: c.text.String() + c.stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		o.exit = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			o.signal = status.Signal()
		}
	} else if err != nil {
		c.pair.t.Fatalf("%s: %v", c.line, err)
	}
	return o
}

// killed runs a verb that must die at the point.
func (p *killPair) killed(verb, at string) {
	p.t.Helper()
	if o := p.start(verb, killAt+"="+at).wait(); o.signal != syscall.SIGKILL {
		p.t.Fatalf("was not killed at %s: %s", at, o)
	}
}

func (p *killPair) mustHaveDied(o killOutcome) {
	p.t.Helper()
	if o.signal != syscall.SIGKILL {
		p.t.Fatalf("ended before it was killed: %s", o)
	}
}

// must runs a verb that must end with 0.
func (p *killPair) must(verb string, env ...string) killOutcome {
	p.t.Helper()
	o := p.start(verb, env...).wait()
	p.mustHaveDone(o)
	return o
}

func (p *killPair) mustHaveDone(o killOutcome) {
	p.t.Helper()
	if o.exit != 0 || o.signal != 0 {
		p.t.Fatalf("failed: %s", o)
	}
}

// mustGoOn: a cutover that was killed either stopped nobody, or has fenced everything.
func (p *killPair) mustGoOn(at string) {
	p.t.Helper()
	if len(p.query(p.source, `select from pg_trigger where tgname = '`+plan.FenceTrigger+`'`)) == 0 {
		p.load.await(1)
	}
	if p.load.hasFlipped() && strings.HasPrefix(at, "switch.") { // what comes is a repair under clients
		p.load.awaitWheel()
	}
}

// mustBeDone expects the upgrade to be finished, whatever is run once more, and judges it.
func (p *killPair) mustBeDone(want []string) {
	p.t.Helper()
	p.mustDoNothing("sync")
	p.mustDoNothing("cutover")
	p.load.awaitMoved(3)
	p.load.end()
	p.load.judge()
	sameState(p.t, "compared with an undisturbed run", want, p.state())
}

// mustDoNothing runs a verb that has nothing to do any more, and may say nothing else.
func (p *killPair) mustDoNothing(verb string) {
	p.t.Helper()
	o := p.must(verb)
	for _, e := range o.events {
		if !slices.Contains([]plan.EventKind{plan.EventSkipped, plan.EventResult, plan.EventNote}, e.Kind) {
			p.t.Errorf("had nothing to do, and said %q: %s", e.Kind, o)
		}
	}
}

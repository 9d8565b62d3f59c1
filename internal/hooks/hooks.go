// Package hooks runs the operator's commands at the turning points of a switch.
package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"pgleap/plan"
)

// Hook is one of the turning points.
type Hook string

// The hooks. Before the point of no return a failure aborts the switch, after it it is reported.
const (
	BeforeSwitch Hook = "before-switch" // before anybody waits
	Reroute      Hook = "reroute"       // points the clients at the side that takes over
	AfterRelease Hook = "after-release" // the side that takes over is being written
	OnAbort      Hook = "on-abort"      // a switch was undone
	OnRollback   Hook = "on-rollback"   // after the release of a rollback
	OnStatus     Hook = "on-status"     // at every event worth telling
)

// DefaultTimeout is a hook's deadline where none is given.
const DefaultTimeout = 10 * time.Second

// Set is the operator's commands.
type Set struct {
	Commands map[Hook]string `json:"commands,omitempty"` // command lines for sh; a missing one does nothing
	Timeout  time.Duration   `json:"timeout"`            // of each call, in nanoseconds
}

// Has tells whether there is a command for the hook.
func (s Set) Has(h Hook) bool { return s.Commands[h] != "" }

// Any tells whether there is a command for any of them.
func (s Set) Any() bool { return len(s.Commands) > 0 }

// Call is what a hook is told: variables of its environment, beside those of ours that hold no password.
type Call map[string]string

// With returns the call with more variables.
func (c Call) With(more Call) Call {
	all := Call{}
	for _, m := range []Call{c, more} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// Run runs the hook's command and returns when it has ended; nothing where there is none. At the deadline, or when
// ctx ends, it is killed with everything that it started. The error names the hook and shows the end of its output,
// without what redact takes out.
func (s Set) Run(ctx context.Context, h Hook, call Call, redact func(string) string) error {
	if !s.Has(h) {
		return nil
	}
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out tail
	err := run(limited, s.Commands[h], environment(h, call), &out)
	if err == nil {
		return nil
	}
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("killed after %s (--hook-timeout)", plan.HumanDuration(timeout))
	}
	if text := strings.TrimSpace(out.String()); text != "" {
		return fmt.Errorf("hook %s: %w; it said: %s", h, err, redact(text))
	}
	return fmt.Errorf("hook %s: %w", h, err)
}

// killedWait is how long the pipes of a killed command may stay open: a grandchild that left the group holds them.
const killedWait = 200 * time.Millisecond

func run(ctx context.Context, line string, env []string, out *tail) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killedWait
	err := cmd.Run()
	if cause := ctx.Err(); cause != nil && err != nil {
		return cause
	}
	if errors.Is(err, exec.ErrWaitDelay) { // the command itself has ended well; what it left in the background is its own
		return nil
	}
	return err
}

func environment(h Hook, call Call) []string {
	env := append(Environment(), "PGLEAP_HOOK="+string(h))
	for k, v := range call {
		env = append(env, k+"="+v)
	}
	return env
}

// Environment is ours without what may hold a password: processes that we start are told what they need, and no more.
func Environment() []string {
	var env []string
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if name == "PGPASSWORD" || strings.HasPrefix(name, "PGLEAP_") && strings.ContainsAny(value, "=@") {
			continue
		}
		env = append(env, v)
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if over := t.b.Len() - tailBytes; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

package rehearsal

import (
	"bufio"
	"bytes"
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

	"pgleap/plan"
)

// tool runs pgleap as its user does: as a process, with the addresses in its environment.
type tool struct {
	command []string
	env     []string

	mu      sync.Mutex
	running map[int]bool // pids, for the sampler
	outputs []output     // everything it ever printed, for R-SECRET
}

type output struct{ Name, Text string }

// Result is how one command of the tool ended.
type Result struct {
	Args   []string
	Exit   int
	Signal syscall.Signal // 0: it ended by itself
	Stdout string
	Stderr string
	Took   time.Duration
}

// Err is nil if the command ended with 0.
func (r Result) Err() error {
	if r.Exit == 0 && r.Signal == 0 {
		return nil
	}
	how := fmt.Sprintf("exit %d", r.Exit)
	if r.Signal != 0 {
		how = r.Signal.String()
	}
	return fmt.Errorf("pgleap %s: %s\n%s", strings.Join(r.Args, " "), how, lastPart(r.Stdout+r.Stderr, 2000))
}

func lastPart(text string, n int) string {
	text = strings.TrimSpace(text)
	if len(text) > n {
		return "…" + strings.ToValidUTF8(text[len(text)-n:], "")
	}
	return text
}

// run starts the command and waits for it. onEvent gets each event at the moment it is printed. A command
// that ends badly is a Result, not an error.
func (t *tool) run(ctx context.Context, onEvent func(plan.Event), args ...string) (Result, error) {
	start := time.Now()
	argv := append(append([]string{}, t.command...), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), t.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, fmt.Errorf("run the tool: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Result{}, fmt.Errorf("run the tool: %w", err)
	}
	t.track(cmd.Process.Pid, true)
	text := readEvents(stdout, onEvent)
	err = cmd.Wait()
	t.track(cmd.Process.Pid, false)
	r := Result{Args: args, Stdout: text, Stderr: stderr.String(), Took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.As(err, &exit):
		r.Exit = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.Signal = ws.Signal()
		}
	default:
		return r, fmt.Errorf("run the tool: %w", err)
	}
	t.keep("stdout of pgleap "+strings.Join(args, " "), r.Stdout)
	t.keep("stderr of pgleap "+strings.Join(args, " "), r.Stderr)
	return r, nil
}

// readEvents reads to the end; lines that are events are handed on.
func readEvents(r io.Reader, onEvent func(plan.Event)) string {
	var all strings.Builder
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		var e plan.Event
		if onEvent != nil && strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil && e.Kind != "" {
			onEvent(e)
		}
		all.WriteString(line)
		if err != nil {
			return all.String()
		}
	}
}

func (t *tool) track(pid int, alive bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if alive {
		t.running[pid] = true
	} else {
		delete(t.running, pid)
	}
}

func (t *tool) pids() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []int
	for pid := range t.running {
		out = append(out, pid)
	}
	return out
}

func (t *tool) keep(name, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outputs = append(t.outputs, output{name, text})
}

func (t *tool) printed() []output {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]output{}, t.outputs...)
}

// Tool runs a command of the tool on the stage, with --run and the addresses; hooks may call it too.
func (s *Stage) Tool(ctx context.Context, args ...string) (Result, error) {
	return s.tool.run(ctx, nil, append(args, "--run", string(s.Run))...)
}

// must runs a command that has to succeed. One that dies by a signal is run again, as its user would.
func (s *Stage) must(ctx context.Context, onEvent func(plan.Event), args ...string) (Result, int, error) {
	args = append(args, "--run", string(s.Run))
	for killed := 0; ; killed++ {
		r, err := s.tool.run(ctx, onEvent, args...)
		if err != nil {
			return r, killed, err
		}
		if r.Signal == 0 || killed >= s.config.Retry {
			return r, killed, r.Err()
		}
	}
}

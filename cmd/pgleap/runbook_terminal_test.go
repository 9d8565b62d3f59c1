package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// block is one that a reader of the runbook types.
type block struct {
	stage    string // "" before the first
	step     string
	terminal string // OLD, NEW, SHELL
	text     string
}

var (
	stageHeading = regexp.MustCompile(`^## \d+\. (\S+)$`)
	stepBox      = regexp.MustCompile("^- \\[ \\] `([^`]+)` on the ")
	terminalLine = regexp.MustCompile(`^▶ \*\*(Terminal OLD|Terminal NEW|A shell)`)
	fenceLine    = regexp.MustCompile("^(```+)([a-z]*)$")
)

// typedBlocks reads a runbook as its own rules say: what is sql or sh is typed, in order, in the terminal that the
// line above it names.
func typedBlocks(t *testing.T, runbook string) []block {
	t.Helper()
	var all []block
	var now block
	lines := strings.Split(runbook, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case stageHeading.MatchString(line):
			now = block{stage: stageHeading.FindStringSubmatch(line)[1]}
		case strings.HasPrefix(line, "### "):
			now = block{stage: now.stage}
		case stepBox.MatchString(line):
			now.step = stepBox.FindStringSubmatch(line)[1]
		case terminalLine.MatchString(line):
			now.terminal = map[string]string{"Terminal OLD": "OLD", "Terminal NEW": "NEW", "A shell": "SHELL"}[terminalLine.FindStringSubmatch(line)[1]]
		case fenceLine.MatchString(line):
			m := fenceLine.FindStringSubmatch(line)
			var text []string
			for i++; i < len(lines) && lines[i] != m[1]; i++ {
				text = append(text, lines[i])
			}
			if m[2] != "sql" && m[2] != "sh" {
				continue
			}
			if now.terminal == "" || (m[2] == "sh") != (now.terminal == "SHELL") {
				t.Fatalf("line %d: a block of %s under no terminal, or the wrong one: %+v", i, m[2], now)
			}
			now.text = strings.Join(text, "\n")
			all = append(all, now)
			now.terminal = ""
		}
	}
	return all
}

// textLine returns the line of the runbook that begins so.
func textLine(t *testing.T, runbook, prefix string) string {
	t.Helper()
	for line := range strings.SplitSeq(runbook, "\n") {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	t.Fatalf("the runbook has no line that begins with %q", prefix)
	return ""
}

// terminal is a psql that stays open; what is typed into it comes from a runbook.
type terminal struct {
	name  string
	stdin io.WriteCloser
	ended chan struct{}
	cmd   *exec.Cmd
	typed int

	mu  sync.Mutex
	out bytes.Buffer
}

// Write gets what psql prints.
func (p *terminal) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(text)
}

// printedSince returns what came behind the first n bytes.
func (p *terminal) printedSince(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.out.Bytes()[n:])
}

// openTerminal starts psql by a shell, with the reader's command line.
func openTerminal(name, folder string, env []string, command string) (*terminal, error) {
	p := &terminal{name: name, ended: make(chan struct{}), cmd: exec.Command("sh", "-c", "exec "+command)}
	p.cmd.Dir, p.cmd.Env = folder, env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		close(p.ended)
	}()
	return p, nil
}

// typeIn pastes a block and returns what psql answered. A psql that ended met an error.
func (p *terminal) typeIn(text string, within time.Duration) (string, error) {
	p.typed++
	before := len(p.printedSince(0))
	mark := fmt.Sprintf("end of block %d in %s", p.typed, p.name)
	if _, err := io.WriteString(p.stdin, text+"\n\\echo "+mark+"\n"); err != nil {
		<-p.ended
		return p.printedSince(before), fmt.Errorf("terminal %s is closed: %w", p.name, err)
	}
	deadline := time.After(within)
	for {
		answer := p.printedSince(before)
		if i := strings.Index(answer, mark); i >= 0 {
			return answer[:i], nil
		}
		select {
		case <-p.ended:
			return p.printedSince(before), fmt.Errorf("psql of terminal %s ended: %s", p.name, p.cmd.ProcessState)
		case <-deadline:
			return answer, fmt.Errorf("terminal %s does not come to the end of the block within %s", p.name, within)
		case <-time.After(time.Millisecond):
		}
	}
}

// close ends psql, and with it what it has left open.
func (p *terminal) close() {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

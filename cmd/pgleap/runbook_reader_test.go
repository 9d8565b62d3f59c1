package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgleap/cutover"
	"pgleap/internal/pgserver"
	"pgleap/internal/rehearsal"
)

// The rehearsal drives the tool as a process. Here the tool is a reader of the runbook: check and plan are
// pgleap's, the other verbs ask the reader, who lives in the test with two terminals that stay open.

// runbookSocket names the socket at which the reader listens.
const runbookSocket = "PGLEAP_TEST_RUNBOOK"

var byHandVerbs = map[string]bool{"sync": true, "cutover": true, "finalize": true}

// request is what the process that stands for pgleap tells the reader.
type request struct {
	Args           []string
	Source, Target string
}

// askTheReader runs in the process that stands for pgleap: it prints what the reader says, and ends as he does.
func askTheReader(socket string, args []string) int {
	c, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(request{args, os.Getenv("PGLEAP_SOURCE"), os.Getenv("PGLEAP_TARGET")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if line == allDone {
			return 0
		}
		fmt.Print(line)
		if err != nil {
			return 1
		}
	}
}

const allDone = "the reader is done\n"

// reader carries a runbook out.
type reader struct {
	t        *testing.T
	folder   string
	sabotage func([]block) []block

	env       []string
	blocks    []block
	terminals map[string]*terminal
	locked    time.Time
	fence     string
}

// startReader listens, and returns the environment for the tool.
func startReader(t *testing.T, sabotage func([]block) []block) []string {
	t.Helper()
	folder, err := os.MkdirTemp("", "runbook") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, folder: folder, sabotage: sabotage, terminals: map[string]*terminal{}}
	socket := filepath.Join(folder, "reader")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		for _, p := range r.terminals {
			p.close()
		}
		_ = os.RemoveAll(folder)
	})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.answer(c)
		}
	}()
	return []string{runbookSocket + "=" + socket}
}

func (r *reader) answer(c net.Conn) {
	defer c.Close()
	var q request
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		fmt.Fprintln(c, err)
		return
	}
	if err := r.verb(c, q); err != nil {
		fmt.Fprintln(c, err)
		return
	}
	fmt.Fprint(c, allDone)
}

// verb does what the rehearsal asks pgleap for: the stages that pgleap would walk.
func (r *reader) verb(out io.Writer, q request) error {
	switch q.Args[0] {
	case "sync":
		if err := r.prepare(out, q); err != nil {
			return err
		}
		return r.typeStages(out, "", "schema", "publish", "subscribe", "finish")
	case "cutover":
		return r.typeStages(out, "switch", "release", "teardown")
	}
	return r.typeStages(out, "finalize")
}

// prepare makes the runbook, and opens the terminals as it says.
func (r *reader) prepare(out io.Writer, q request) error {
	run := q.Args[len(q.Args)-1]
	args := []string{"plan", "--format", "markdown", "--copy", "server"} // streams cannot be typed
	for _, flag := range q.Args[1 : len(q.Args)-2] {
		if flag != "--json" {
			args = append(args, flag)
		}
	}
	cmd := exec.Command(os.Args[0], append(args, "--run", run)...)
	cmd.Env = append(cleanEnvironment(), "PGLEAP_SOURCE="+q.Source, "PGLEAP_TARGET="+q.Target)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("pgleap plan: %w\n%s", err, stderr.String())
	}
	runbook := string(text)
	fmt.Fprintln(out, runbook)
	if strings.Contains(runbook, "cannot be typed") {
		return fmt.Errorf("a step cannot be typed")
	}
	r.blocks = typedBlocks(r.t, runbook)
	if r.sabotage != nil {
		r.blocks = r.sabotage(r.blocks)
	}
	passwords, conninfo, err := r.passwords(q, textLine(r.t, runbook, "host="))
	if err != nil {
		return err
	}
	r.env = append(cleanEnvironment(), "PGPASSFILE="+passwords, "SOURCE_CONNINFO="+conninfo, "PATH="+pgserver.ClientFolders()[0]+":"+os.Getenv("PATH"))
	for _, name := range []string{"OLD", "NEW"} {
		address, err := exec.Command("sh", "-c", textLine(r.t, runbook, "export "+name+"=")+`; printf %s "$`+name+`"`).Output()
		if err != nil {
			return err
		}
		r.env = append(r.env, name+"="+string(address))
	}
	for _, name := range []string{"OLD", "NEW"} {
		command, _, _ := strings.Cut(textLine(r.t, runbook, `psql -X -n -d "$`+name+`"`), "#")
		if r.terminals[name], err = openTerminal(name, r.folder, r.env, command); err != nil {
			return err
		}
	}
	return nil
}

// passwords writes the file that the reader has in his home, and fills the connection string.
func (r *reader) passwords(q request, template string) (file, conninfo string, err error) {
	var lines strings.Builder
	for i, uri := range []string{q.Source, q.Target} {
		u, err := url.Parse(uri)
		if err != nil {
			return "", "", fmt.Errorf("the address is no URI")
		}
		password, _ := u.User.Password()
		fmt.Fprintf(&lines, "%s:%s:*:%s:%s\n", u.Hostname(), u.Port(), u.User.Username(), password)
		if i == 0 {
			conninfo = strings.Replace(template, "password=…", "password='"+password+"'", 1)
		}
	}
	file = filepath.Join(r.folder, "pgpass")
	return file, conninfo, os.WriteFile(file, []byte(lines.String()), 0o600)
}

var walPosition = regexp.MustCompile(`\b[0-9A-F]+/[0-9A-F]+\b`)

// typeStages types every block of the stages, in order, and stops at the first error.
func (r *reader) typeStages(out io.Writer, stages ...string) error {
	typed := 0
	for _, stage := range stages {
		for _, b := range r.blocks {
			if b.stage != stage {
				continue
			}
			typed++
			if err := r.typeBlock(out, b); err != nil {
				return fmt.Errorf("stage %s, step %s, in terminal %s: %w\n%s", b.stage, b.step, b.terminal, err, b.text)
			}
		}
	}
	if typed == 0 {
		return fmt.Errorf("the runbook has nothing to type for %v", stages)
	}
	return nil
}

func (r *reader) typeBlock(out io.Writer, b block) error {
	if b.step == string(cutover.StepLock) {
		r.locked = time.Now() // the last of the step's blocks
	}
	answer, err := r.enter(b)
	fmt.Fprintln(out, answer)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, answer)
	}
	if strings.Contains(b.text, "fence_lsn") {
		r.fence = walPosition.FindString(answer)
	}
	if strings.Contains(answer, cutover.Moved) {
		stall := float64(time.Since(r.locked).Microseconds()) / 1000
		return json.NewEncoder(out).Encode(rehearsal.Released(r.fence, map[string]float64{"stall_ms": stall}))
	}
	return nil
}

func (r *reader) enter(b block) (string, error) {
	if b.terminal != "SHELL" {
		return r.terminals[b.terminal].typeIn(b.text, longest)
	}
	cmd := exec.Command("sh", "-c", b.text)
	cmd.Dir, cmd.Env = r.folder, r.env
	answer, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); ended { // the reader judges what diff shows, not its exit code
		err = nil
	}
	return string(answer), err
}

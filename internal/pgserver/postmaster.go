package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errPortTaken says that another process has the port.
var errPortTaken = errors.New("the port is taken")

// postmaster is the server's main process, from its start to its end.
type postmaster struct {
	cmd      *exec.Cmd
	logStart int64         // where in the log file this process's lines begin
	exited   chan struct{} // closed when the process has ended and was waited for
}

const pollInterval = 10 * time.Millisecond

// launch starts the postmaster and hands it to the watchdog.
func (s *Server) launch() (*postmaster, error) {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own descriptor
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	// Not bound to a context: the process outlives every call.
	cmd := s.command(context.Background(), "postgres", "-D", s.DataDir, "-p", strconv.Itoa(s.Port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.watchdog.guard(cmd.Process.Pid)
	p := &postmaster{cmd: cmd, logStart: end, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // a shutdown is asked for by us; a crash is told by the log
		close(p.exited)
	}()
	return p, nil
}

// awaitReady returns when the server accepts connections. The postmaster says
// so in the eighth line of its pid file (since 10; see miscadmin.h,
// LOCK_FILE_LINE_PM_STATUS), which needs neither a password nor a connection.
func (p *postmaster) awaitReady(ctx context.Context, dataDir string) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if p.isReady(string(text)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for connections: %w", ctx.Err())
		case <-p.exited:
			return errors.New("the server ended")
		case <-poll.C:
		}
	}
}

// isReady ignores the pid file that a killed predecessor left behind.
func (p *postmaster) isReady(pidFile string) bool {
	lines := strings.Split(pidFile, "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[0]) != strconv.Itoa(p.cmd.Process.Pid) {
		return false
	}
	status := strings.TrimSpace(lines[7])
	return status == "ready" || status == "standby"
}

// running is false for no postmaster and for one that has ended by itself.
func (p *postmaster) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

var shutdownSignals = map[string]syscall.Signal{
	"smart":     syscall.SIGTERM,
	"fast":      syscall.SIGINT,
	"immediate": syscall.SIGQUIT,
}

// shutDown asks for the mode and, when ctx ends, insists.
func (p *postmaster) shutDown(ctx context.Context, mode string) error {
	signal, ok := shutdownSignals[mode]
	if !ok {
		return fmt.Errorf("no shutdown mode %q: it is smart, fast or immediate", mode)
	}
	_ = p.cmd.Process.Signal(signal) // an error means that it has ended already
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	// An immediate shutdown kills what has not gone after five seconds.
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.exited:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("process %d does not end", p.cmd.Process.Pid)
	}
}

// explain adds the server's own last words to an error.
func (s *Server) explain(err error) error {
	text, readErr := s.Log()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	words := strings.TrimSpace(text[min(int(s.postmaster.logStart), len(text)):])
	if strings.Contains(words, "could not bind") {
		err = fmt.Errorf("%w: %d", errPortTaken, s.Port)
	}
	return fmt.Errorf("%w\n%s", err, lastLines(words, 20))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// freePort picks a port at random below the ranges from which Linux and macOS
// take the ports of outgoing connections: nothing comes by chance onto the port
// of a server that is halted for a moment.
func freePort() (int, error) {
	const low, count = 20000, 10000
	var err error
	for range 100 {
		port := low + rand.IntN(count)
		var l net.Listener
		if l, err = net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

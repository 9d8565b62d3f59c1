package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// watchdogScript reads process ids until its input ends, and its input ends
// when the process that writes to it does, however that came about. Then it
// ends the last process it was told of (0: none) and removes the folder. The
// word "done" takes the folder off its hands.
//
// The folder is removed in a loop because an initdb that was under way may
// still be writing to it.
const watchdogScript = `
pid=0
while read -r word; do pid=$word; done
[ "$pid" = done ] && exit 0
if [ "$pid" != 0 ]; then
	kill -QUIT "$pid"
	n=0
	while kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
	kill -KILL "$pid"
fi
n=0
while [ -e "$1" ] && [ $n -lt 100 ]; do rm -rf "$1" || sleep 0.1; n=$((n+1)); done
`

// watchdog is a process that outlives ours for as long as it takes to remove
// what ours left behind. A parent-death signal would not do: it exists on Linux
// only, is cleared when the user changes, and follows the thread that started
// the child, which the Go runtime may end at any time.
type watchdog struct {
	cmd   *exec.Cmd
	leash *os.File // its end is our end
}

// watch starts a watchdog for the folder of a server.
func watch(folder string) (*watchdog, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "pgleap-watchdog", folder)
	cmd.Dir = "/"
	cmd.Stdin = read
	// In a session of its own, an interrupt from the terminal does not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close() // the child has its own
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, leash: write}, nil
}

// guard tells which process to end; 0 is none. A watchdog that is gone cannot
// be told: the server is then without one, and dismiss says so.
func (w *watchdog) guard(pid int) {
	_, _ = fmt.Fprintln(w.leash, pid)
}

// dismiss ends the watchdog without its doing anything.
func (w *watchdog) dismiss() error {
	_, err := fmt.Fprintln(w.leash, "done")
	if err = errors.Join(err, w.leash.Close(), w.cmd.Wait()); err != nil {
		return fmt.Errorf("dismiss watchdog: %w", err)
	}
	return nil
}

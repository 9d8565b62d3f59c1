package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the command: started with asCommand set it runs as pgleap, so that tests drive the real
// thing as a process of its own, and can kill it.
const (
	asCommand  = "PGLEAP_TEST_COMMAND" // "1": run as pgleap
	pointsFile = "PGLEAP_TEST_POINTS"  // every point's name is appended to this file
	// killAt says at which point the process kills itself (SIGKILL): by its number, counted from 1; by its name,
	// which steps that run side by side need, or by names parted by commas, of the process and of its watchdog; or at the first that pointsFile does not name yet.
	killAt    = "PGLEAP_TEST_KILL_AT"
	killAtNew = "new"
	// stopAt says at which points, by their names parted by commas, the process stops itself (SIGSTOP) until
	// somebody lets it go on.
	stopAt = "PGLEAP_TEST_STOP_AT"
	// leakAddress set to "1" prints the source's address once, password and all: R-SECRET must see it.
	leakAddress = "PGLEAP_TEST_LEAK"
)

func TestMain(m *testing.M) {
	if os.Getenv(runbookSocket) != "" && len(os.Args) > 1 && byHandVerbs[os.Args[1]] {
		os.Exit(askTheReader(os.Getenv(runbookSocket), os.Args[1:]))
	}
	if os.Getenv(asCommand) == "1" {
		point = faultPoint(os.Getenv(pointsFile), os.Getenv(killAt))
		if os.Getenv(leakAddress) == "1" {
			fmt.Fprintln(os.Stderr, "connecting to", os.Getenv("PGLEAP_SOURCE"))
		}
		os.Exit(realMain(os.Args))
	}
	testscript.Main(m, map[string]func(){"pgleap": func() { os.Exit(realMain(os.Args)) }})
}

// faultPoint returns what the pipeline tells its points to: it writes them down, and dies where it is told to.
func faultPoint(file, at string) func(string) {
	n, _ := strconv.Atoi(at)
	var seen []string
	if text, err := os.ReadFile(file); err == nil && at == killAtNew {
		seen = strings.Fields(string(text))
	}
	var mu sync.Mutex
	count := 0
	return func(name string) {
		mu.Lock()
		defer mu.Unlock()
		count++
		if file != "" {
			if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
				_, _ = f.WriteString(name + "\n")
				_ = f.Close()
			}
		}
		if slices.Contains(strings.Split(os.Getenv(stopAt), ","), name) {
			on := make(chan os.Signal, 1) // the stop comes a moment after the call: nothing may go on until then
			signal.Notify(on, syscall.SIGCONT)
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			<-on
			signal.Stop(on)
		}
		if count == n || slices.Contains(strings.Split(at, ","), name) || at == killAtNew && !slices.Contains(seen, name) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: nothing of ours may run any more
		}
	}
}

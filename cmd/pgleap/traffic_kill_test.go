package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// switchPoints are where a cutover through poolers may die between holding the clients and letting them go.
func switchPoints(t *testing.T, s *servers) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "points")
	p := pooledUpgrade(t, s, 1)
	p.switchOver([]string{pointsFile + "=" + file}, p.cutoverArgs(p.byFile())...).wait().exits(exitOK)
	all := readPoints(t, file)
	first, last := slices.Index(all, "traffic.armed"), slices.Index(all, "switch.released")
	if first < 0 || last < first {
		t.Fatalf("the switch is not among the points %q", all)
	}
	inside := all[first : last+1]
	for _, want := range []string{"held", "locked", "marked", "moved", "drained", "before-commit", "committed"} {
		if !slices.Contains(inside, "switch."+want) {
			t.Fatalf("point %s is not among %q", want, inside)
		}
	}
	return inside
}

// truth is the side whose writes count: the fence decides.
func (p *pooled) truth() (*client, *pgserver.Server) {
	p.t.Helper()
	if p.source.run("select "+plan.FenceStands) == "t" {
		return p.target, p.servers.target
	}
	return p.source, p.servers.source
}

func (p *process) killed() time.Time {
	p.t.Helper()
	p.wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		p.t.Fatalf("pgleap %s was not killed: %s\n%s\n%s", p.args, p.cmd.ProcessState, &p.stdout, &p.stderr)
	}
	return time.Now()
}

// finishes runs the cutover to its end, and holds both servers against what the clients were told.
func (p *pooled) finishes(load *poolLoad, how []string) {
	p.t.Helper()
	p.switchOver(nil, p.cutoverArgs(how)...).wait().exits(exitOK)
	load.served()
	p.mustBeAt(p.servers.target)
	load.judge(p.target)
}

// TestWatchdog kills pgleap wherever it may die while it holds the clients: without any step of ours they go on
// within a second of the budget's end, at the server that is the truth.
func TestWatchdog(t *testing.T) {
	s := startServers(t, 13, 18)
	for i, at := range switchPoints(t, s) {
		t.Run(at, func(t *testing.T) {
			p := pooledUpgrade(t, s, 2)
			how := p.byFile()
			if i%2 == 1 {
				how = p.byHook("")
			}
			load := p.startLoad()
			died := p.switchOver([]string{killAt + "=" + at}, p.cutoverArgs(how)...).killed()
			back := load.servedAfter(died)
			if gap := load.longestGap(); gap > trafficBudget+time.Second {
				t.Errorf("a client waited %s with a budget of %s", gap, trafficBudget)
			}
			_, server := p.truth()
			await(t, "the watchdog to be done", func() bool { return p.watchdogs() == 0 })
			p.mustBeAt(server)
			fmt.Printf("killed at %-22s clients go on at %d after %4d ms\n", at, server.Major, back.Sub(died).Milliseconds())
			p.finishes(load, how)
		})
	}
}

// watchdogs is how many watchdogs of this test's binary run.
func (p *pooled) watchdogs() int {
	p.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.HasSuffix(string(text), "\x00watchdog\x00") && strings.HasPrefix(string(text), os.Args[0]) {
			n++
		}
	}
	return n
}

// TestWatchdogKilledToo: then one command is enough, and whichever of the two it is.
func TestWatchdogKilledToo(t *testing.T) {
	s := startServers(t, 16, 17)
	for _, at := range switchPoints(t, s) {
		t.Run(at, func(t *testing.T) {
			p := pooledUpgrade(t, s, 1)
			how := p.byFile()
			load := p.startLoad()
			p.switchOver([]string{killAt + "=" + at + ",watchdog.rescue"}, p.cutoverArgs(how)...).killed()
			await(t, "the watchdog to die", func() bool { return p.watchdogs() == 0 })
			if paused, _ := p.entries(); paused == 0 && at != "traffic.armed" && at != "switch.released" {
				t.Error("nobody is held, though the watchdog was killed too")
			}
			if at == "switch.committed" {
				p.run(exitPastReturn, "cutover", "--confirm", p.name).says("was cut short while it held the clients of PgBouncer 127.0.0.1", "give the same --pgbouncer")
			}
			if at == "switch.moved" || at == "switch.committed" { // cutover alone puts it right
				p.finishes(load, how)
				return
			}
			let := "pgleap repair --pgbouncer postgres://ADMIN@" + nodeNames(p) + "/pgbouncer"
			p.run(exitOK, "status").says("critical", "a switch holds the clients of PgBouncer "+nodeNames(p)+", or was cut short", "mend: if no pgleap is at work: "+let, "next       if no pgleap is at work: "+let)
			p.repair(exitOK, how)
			load.served()
			if o := p.run(exitOK, "status"); contains(o.stdout, "holds the clients") {
				t.Errorf("the clients go on, and status says:\n%s", o)
			}
			_, server := p.truth()
			p.mustBeAt(server)
			p.repair(exitOK, how) // again
			p.mustBeAt(server)
			p.finishes(load, how)
		})
	}
}

// TestStopped: a switch that stands still is ended by the watchdog at the deadline, and gives in when it goes on.
func TestStopped(t *testing.T) {
	s := startServers(t, 14, 18)
	for _, at := range []string{"switch.held", "switch.locked", "switch.moved", "switch.before-commit", "switch.committed"} {
		t.Run(at, func(t *testing.T) {
			p := pooledUpgrade(t, s, 1)
			load := p.startLoad()
			run := p.switchOver([]string{stopAt + "=" + at}, p.cutoverArgs(p.byFile())...)
			awaitStopped(t, run)
			stopped := time.Now()
			load.servedAfter(stopped)
			if gap := load.longestGap(); gap > trafficBudget+time.Second {
				t.Errorf("a client waited %s with a budget of %s", gap, trafficBudget)
			}
			_, server := p.truth()
			p.mustBeAt(server)
			switch at {
			case "switch.held", "switch.locked": // it would have moved them when it woke, and was ended
				run.killed()
			case "switch.committed":
				goOn(t, run)
				run.wait().exits(exitOK)
			default:
				goOn(t, run)
				run.wait().exits(exitNotSwitched).says("the source is writable again")
			}
			load.served()
			p.mustBeAt(server)
			p.finishes(load, p.byFile())
		})
	}
}

// TestWatchdogNeverGuesses: as long as the server that was to be left cannot be asked the clients wait.
func TestWatchdogNeverGuesses(t *testing.T) {
	s := startServers(t, 15, 18)
	for _, at := range []string{"switch.drained", "switch.committed"} {
		t.Run(at, func(t *testing.T) {
			p := pooledUpgrade(t, s, 1)
			load := p.startLoad()
			way := startProxy(t, s.source.Port)
			run := p.switchOver(append(way.through(p.upgrade), stopAt+"="+at), p.cutoverArgs(p.byFile())...)
			awaitStopped(t, run)
			way.Stall()
			stopped := time.Now()
			run.signal(syscall.SIGKILL)
			run.killed()
			pattern := fmt.Sprintf("%s/pgleap-watchdog-%s-*.log", p.logs, p.name)
			await(t, "the watchdog to say that it cannot ask", func() bool {
				files, err := filepath.Glob(pattern)
				if err != nil || len(files) == 0 {
					return false
				}
				text, err := os.ReadFile(files[0])
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range s.secrets() {
					if strings.Contains(string(text), secret) {
						t.Errorf("a password stands in the log:\n%s", text)
					}
				}
				return strings.Contains(string(text), "not yet right")
			})
			if paused, _ := p.entries(); paused != 1 {
				t.Error("the watchdog has guessed")
			}
			way.Flow()
			way.Cut()
			load.servedAfter(stopped)
			_, server := p.truth()
			await(t, "the watchdog to be done", func() bool { return p.watchdogs() == 0 })
			p.mustBeAt(server)
			p.finishes(load, p.byFile())
		})
	}
}

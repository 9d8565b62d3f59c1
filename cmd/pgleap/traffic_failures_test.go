package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// undone: the cutover was taken back. Its clients are served by the source within a second of the budget's end, no
// pooler is paused, nothing points elsewhere, and the next cutover works.
func (p *pooled) undone(load *poolLoad, o finished, began time.Time) {
	p.t.Helper()
	load.servedAfter(began)
	if gap := load.longestGap(); gap > trafficBudget+time.Second {
		p.t.Errorf("a client waited %s with a budget of %s", gap, trafficBudget)
	}
	if fenced := p.source.run("select " + plan.FenceStands); fenced != "f" {
		p.t.Errorf("the source is fenced: %s", o)
	}
	p.mustBeAt(p.servers.source)
	for _, n := range p.nodes {
		if _, err := os.Stat(n.ConfigFile() + ".pgleap_" + p.name); err == nil {
			p.t.Errorf("%s.pgleap_%s is left", n.ConfigFile(), p.name)
		}
	}
}

// TestTrafficFails: what fails before the point of no return is undone, and nobody notices more than a wait.
func TestTrafficFails(t *testing.T) {
	s := startServers(t, 13, 17)

	t.Run("PAUSE on the second of two poolers", func(t *testing.T) {
		p := pooledUpgrade(t, s, 2)
		load := p.startLoad()
		straggler := connect(t, p.nodes[1].URI("shop", "web", webPassword))
		pid := straggler.run("begin; select pg_backend_pid() /* the long report */")
		began := time.Now()
		o := p.switchOver(nil, p.cutoverArgs(p.byFile(), "--pause-timeout", "500ms")...).wait().exits(exitNotSwitched)
		o.says("within 500 ms (--pause-timeout)", "process "+pid, "pid "+pid+", web, idle in transaction", "/* the long report */", "the source is writable again")
		if strings.Contains(o.stdout, "--max-write-stall") {
			t.Errorf("the budget is named, which did not end:\n%s", o)
		}
		o.says(fmt.Sprintf("(--pause-timeout): PgBouncer 127.0.0.1:%d has not paused \"shop\" in time; it waits for process %s", p.nodes[1].Port(), pid))
		if contains(o.stdout, "receive message") || contains(o.stdout, "deadline exceeded") {
			t.Errorf("words of the machinery:\n%s", o)
		}
		p.undone(load, o, began)
		if r := p.lastReport(); r.Outcome != pipeline.Undone || r.Switch == nil || r.Switch.HoldMS <= 0 || !strings.Contains(r.Error, "(--pause-timeout)") {
			t.Errorf("the report: %s", mustJSON(r))
		}
		straggler.run("commit")
		p.finishes(load, p.byFile())
	})

	t.Run("the reroute hook", func(t *testing.T) {
		p := pooledUpgrade(t, s, 2)
		load := p.startLoad()
		// It fails half way: one file of two is changed. Called again with PGLEAP_UNDO it puts that back.
		hook := []string{"--on-reroute", fmt.Sprintf(`sed -i "s/port=$PGLEAP_OLD_PORT dbname/port=$PGLEAP_NEW_PORT dbname/" %s; echo "$PGLEAP_DIRECTION undo=$PGLEAP_UNDO" >> %[1]s.calls; [ "$PGLEAP_UNDO" = 1 ] || { echo no such service; exit 4; }`, p.nodes[0].ConfigFile())}
		began := time.Now()
		o := p.switchOver(nil, p.cutoverArgs(hook)...).wait().exits(exitNotSwitched).says("while pointing the clients at the target: hook reroute: exit status 4; it said: no such service", "the source is writable again")
		p.undone(load, o, began)
		if calls, err := os.ReadFile(p.nodes[0].ConfigFile() + ".calls"); err != nil || string(calls) != "cutover undo=\nrollback undo=1\n" {
			t.Errorf("the hook was called as %q, %v", calls, err)
		}
		p.switchOver(nil, p.cutoverArgs([]string{"--on-reroute", "sleep 60", "--hook-timeout", "300ms"})...).wait().exits(exitNotSwitched).says("hook reroute: killed after 300 ms (--hook-timeout)")
		p.switchOver(nil, p.cutoverArgs([]string{"--on-reroute", "true"})...).wait().exits(exitNotSwitched).says("still points at")
		load.served()
		p.mustBeAt(s.source)
		p.finishes(load, p.byHook(""))
	})

	t.Run("a file that cannot be written", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		file := p.nodes[0].ConfigFile()
		run := p.switchOver([]string{stopAt + "=switch.held"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		began := time.Now()
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		goOn(t, run)
		o := run.wait()
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
		o.exits(exitNotSwitched).says("PgBouncer's configuration "+file, "the source is writable again", "could not be put back")
		load.served()
		p.repair(exitOK, p.byFile()) // makes up for it
		p.undone(load, o, began)
		p.finishes(load, p.byFile())
	})

	t.Run("a pooler dies while it is paused", func(t *testing.T) {
		p := pooledUpgrade(t, s, 2)
		dying := p.nodes[1]
		straggler := connect(t, dying.URI("shop", "web", webPassword))
		straggler.run("begin")
		p.nodes = p.nodes[:1] // whose clients may not notice
		load := p.startLoad()
		p.nodes = append(p.nodes, dying)
		began := time.Now()
		run := p.switchOver(nil, p.cutoverArgs(p.byFile())...)
		await(t, "the other pooler to be paused", func() bool {
			for _, row := range p.console(p.nodes[0], "show databases") {
				if row["name"] == "shop" && row["paused"] == "1" {
					return true
				}
			}
			return false
		})
		if err := syscall.Kill(dying.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		o := run.wait().exits(exitNotSwitched).says(fmt.Sprintf("127.0.0.1:%d", dying.Port()), "the source is writable again")
		p.nodes = p.nodes[:1]
		p.undone(load, o, began)
		p.finishes(load, p.byFile())
	})

	t.Run("a pooler hangs", func(t *testing.T) {
		p := pooledUpgrade(t, s, 2)
		hanging := p.nodes[1]
		p.nodes = p.nodes[:1]
		load := p.startLoad()
		p.nodes = append(p.nodes, hanging)
		run := p.switchOver([]string{stopAt + "=switch.prepared"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		if err := syscall.Kill(hanging.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(hanging.PID(), syscall.SIGCONT) }()
		began := time.Now()
		goOn(t, run)
		o := run.wait().exits(exitUnexpected).says("the source is writable again, but the clients are still held", fmt.Sprintf("127.0.0.1:%d", hanging.Port()))
		p.nodes = p.nodes[:1]
		p.undone(load, o, began) // the other's clients did not wait for it
		if err := syscall.Kill(hanging.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, hanging)
		await(t, "the watchdog to be done", func() bool { return p.watchdogs() == 0 })
		p.mustBeAt(s.source)
		p.finishes(load, p.byFile())
	})

	t.Run("a drain that is too slow", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		run := p.switchOver([]string{stopAt + "=switch.prepared"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		blocker := connect(t, p.targetURI)
		blocker.run("begin; lock table pgleap.marker in exclusive mode")
		began := time.Now()
		goOn(t, run)
		p.undone(load, run.wait().exits(exitNotSwitched).says("wait for the marker", "--max-write-stall"), began)
		blocker.run("rollback")
		p.finishes(load, p.byFile())
	})

	t.Run("an interrupt", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		run := p.switchOver([]string{stopAt + "=switch.prepared"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		blocker := connect(t, p.targetURI) // so that the drain does not end before the interrupt
		blocker.run("begin; lock table pgleap.marker in exclusive mode")
		began := time.Now()
		goOn(t, run)
		await(t, "the clients to be held", func() bool { paused, _ := p.entries(); return paused == 1 })
		p.undone(load, run.interrupt().exits(exitInterrupted), began)
		blocker.run("rollback")
		p.finishes(load, p.byFile())
	})

	t.Run("a file that is gone", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		run := p.switchOver([]string{stopAt + "=switch.before-commit"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		file := p.nodes[0].ConfigFile()
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		connect(t, s.source.URI("postgres")).run(fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s' and application_name like 'pgleap/%%' and state = 'idle in transaction'", p.name))
		goOn(t, run)
		load.served() // at once, whatever becomes of the file
		run.wait().exits(exitNotSwitched).says("the clients go on, but the file of PgBouncer", "could not be put back", "no such file or directory")
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
		await(t, "the watchdog to be done", func() bool { return p.watchdogs() == 0 })
		p.mustBeAt(s.source)
		p.finishes(load, p.byFile())
	})

	t.Run("the target dies", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		run := p.switchOver([]string{stopAt + "=switch.held"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		began := time.Now()
		connect(t, s.target.URI("postgres")).run(fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s' and application_name like 'pgleap/%%'", p.name))
		goOn(t, run)
		p.undone(load, run.wait().exits(exitNotSwitched), began)
		p.finishes(load, p.byFile())
	})
}

// TestTrafficPastReturn: what fails behind the commit leaves the target as the truth and the source fenced; one
// command finishes.
func TestTrafficPastReturn(t *testing.T) {
	s := startServers(t, 16, 18)

	t.Run("a pooler that does not answer", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		run := p.switchOver([]string{stopAt + "=switch.before-commit"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		pooler := p.nodes[0].PID()
		if err := syscall.Kill(pooler, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pooler, syscall.SIGCONT) }()
		goOn(t, run)
		run.wait().exits(exitPastReturn).says("the source stays fenced and the target is the truth", "run pgleap cutover again")
		if err := syscall.Kill(pooler, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		load.served() // by the watchdog
		p.mustBeAt(s.target)
		p.finishes(load, p.byFile())
	})

	t.Run("a file that the pooler does not take any more", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		run := p.switchOver([]string{stopAt + "=switch.before-commit"}, p.cutoverArgs(p.byFile())...)
		awaitStopped(t, run)
		file := p.nodes[0].ConfigFile()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, file, strings.Replace(string(text), "[databases]\n", "[databases]\nbad = nothing\n", 1))
		goOn(t, run)
		run.wait().exits(exitPastReturn).says("still points at", "the source stays fenced and the target is the truth", "run pgleap cutover again")
		if paused, ports := p.entries(); paused != 1 || ports[0] != fmt.Sprint(s.source.Port) {
			t.Errorf("%d poolers are paused, they point at %s", paused, ports)
		}
		rewrite(t, file, string(text))
		await(t, "the watchdog to let the clients go on", func() bool { return p.watchdogs() == 0 })
		p.mustBeAt(s.target)
		p.switchOver(nil, p.cutoverArgs(p.byFile())...).wait().exits(exitOK)
	})

	t.Run("clients that do not get through", func(t *testing.T) {
		p := pooledUpgrade(t, s, 1)
		load := p.startLoad()
		wrong := append(p.byFile(), "--target-from-pgbouncer", "127.0.0.1:1")
		p.switchOver(nil, p.cutoverArgs(wrong, "--rehearse")...).wait().exits(exitOK).says("pooler: ", "is to be pointed at 127.0.0.1:1/"+p.name+" (--target-from-pgbouncer), which cannot be reached from here", "connection refused")
		p.switchOver(nil, p.cutoverArgs(wrong)...).wait().exits(exitPastReturn).says("the switch is made", fmt.Sprintf("PgBouncer 127.0.0.1:%d: clients of \"shop\" wait in vain", p.nodes[0].Port()), "127.0.0.1:1/"+p.name, "pgleap repair with the same --pgbouncer", "--target-from-pgbouncer HOST:PORT")
		if r := p.lastReport(); r.Outcome != pipeline.Stopped || !strings.Contains(r.Error, "do not get through") {
			t.Errorf("the report: %s", mustJSON(r))
		}
		p.repair(exitPastReturn, wrong).says("wait in vain")
		p.repair(exitOK, append(p.byFile(), "--target-from-pgbouncer", fmt.Sprintf("127.0.0.1:%d", s.target.Port)))
		p.finishes(load, p.byFile()) // it is recorded: there is nothing left to do
	})

	t.Run("the reroute hook without a pooler", func(t *testing.T) {
		u := s.upgrade(t, small)
		u.run(exitOK, "sync")
		u.run(exitPastReturn, "cutover", "--confirm", u.name, "--on-reroute", "echo no such service; exit 4").says("hook reroute: exit status 4; it said: no such service", "the source stays fenced", "run pgleap cutover again")
		u.source.is("t", "select "+plan.FenceStands)
		file := t.TempDir() + "/called"
		u.run(exitOK, "cutover", "--confirm", u.name, "--on-reroute", `echo "$PGLEAP_NEW_PORT" >> `+file)
		if text, err := os.ReadFile(file); err != nil || string(text) != fmt.Sprintf("%d\n", s.target.Port) {
			t.Errorf("the hook was called with %q, %v", text, err)
		}
	})
}

// rewrite keeps the file's owner.
func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHooks: who is called when, and with what.
func TestHooks(t *testing.T) {
	s := startServers(t, 15, 18)
	u := s.upgrade(t, small)
	u.run(exitOK, "sync")
	log := t.TempDir() + "/log"
	all := []string{"cutover", "--confirm", u.name}
	for _, flag := range []string{"--on-reroute", "--on-after-release", "--on-abort", "--on-rollback"} {
		all = append(all, flag, `env | grep ^PGLEAP_ | sort | tr '\n' ' ' >> `+log)
	}
	all = append(all, "--on-status", `echo "$PGLEAP_STATUS $PGLEAP_STAGE" >> `+log+`.status; sleep 0.2`)
	read := func(file string) string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	o := u.run(exitNotSwitched, append(all, "--on-before-switch", "echo not tonight; exit 1")...).says("the switch was not begun, no write was stopped", "hook before-switch: exit status 1; it said: not tonight")
	if contains(o.String(), "is undone") {
		t.Errorf("a switch that was not begun is called undone:\n%s", o)
	}
	told := read(log)
	if !contains(told, "PGLEAP_HOOK=on-abort ", "PGLEAP_MESSAGE=", "PGLEAP_STATUS=undone ", "PGLEAP_STAGE=switch ") || strings.Contains(told, "after-release") {
		t.Errorf("after a refusal: %s", told)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}

	u.run(exitOK, append(all, "--on-before-switch", `echo "before $PGLEAP_HOOK" >> `+log)...)
	told = read(log)
	for i, want := range []string{"before before-switch\n", "PGLEAP_HOOK=reroute ", "PGLEAP_HOOK=after-release "} {
		if !strings.Contains(told, want) || i > 0 && strings.Index(told, want) < strings.Index(told, "before") {
			t.Errorf("%q is missing, or comes too early:\n%s", want, told)
		}
	}
	for _, want := range []string{
		"PGLEAP_RUN=" + u.name, "PGLEAP_DIRECTION=cutover", "PGLEAP_OLD_HOST=127.0.0.1", fmt.Sprintf("PGLEAP_OLD_PORT=%d", s.source.Port), fmt.Sprintf("PGLEAP_NEW_PORT=%d", s.target.Port),
		"PGLEAP_NEW_DATABASE=" + u.name, fmt.Sprintf("PGLEAP_SOURCE_PORT=%d", s.source.Port), fmt.Sprintf("PGLEAP_TARGET_PORT=%d", s.target.Port), "PGLEAP_FENCE_LSN=0/", "PGLEAP_STALL_MS=",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is missing:\n%s", want, told)
		}
	}
	for _, secret := range s.secrets() {
		if strings.Contains(told, secret) {
			t.Errorf("a hook was given a password:\n%s", told)
		}
	}
	if strings.Contains(told, "on-abort") || strings.Contains(told, "on-rollback") {
		t.Errorf("a hook was called without cause:\n%s", told)
	}
	status := read(log + ".status")
	if !contains(status, "stage switch\n", "released switch\n", "done switch\n", "done teardown\n") || strings.Index(status, "stage switch") > strings.Index(status, "released switch") {
		t.Errorf("on-status was told:\n%s", status)
	}
}

// TestRepair: by hand, and only when nobody is at work.
func TestRepair(t *testing.T) {
	s := startServers(t, 14, 17)
	p := pooledUpgrade(t, s, 1)
	how := p.byFile()
	load := p.startLoad()
	p.repair(exitOK, how).says("the fence does not stand")
	p.mustBeAt(s.source)

	run := p.switchOver([]string{stopAt + "=switch.held"}, p.cutoverArgs(how, "--max-write-stall", "60s")...)
	awaitStopped(t, run)
	p.repair(exitLocked, how).says("another pgleap holds the run lock", "pgleap/cutover")
	if paused, _ := p.entries(); paused != 1 {
		t.Error("repair has let the clients of a live switch go")
	}
	goOn(t, run)
	run.wait().exits(exitOK)
	load.served()

	p.repair(exitOK, how).says("the fence was committed", "the target", "is the truth")
	p.mustBeAt(s.target)
	load.judge(p.target)

	u := s.upgrade(t, small)
	other := &pooled{upgrade: u, nodes: p.nodes}
	other.repair(exitNotReady, append(how, "--pgbouncer-database", "shop")).says("the source has no mark of run "+u.name, "Nothing was changed")
	u.run(exitUsage, "repair").says("give --pgbouncer")
}

// TestPoolersAreNamedAgain: a run whose clients go through poolers is not switched past them by mistake.
func TestPoolersAreNamedAgain(t *testing.T) {
	s := startServers(t, 14, 18)
	p := pooledUpgrade(t, s, 2)
	load := p.startLoad()
	again := []string{"was made through PgBouncer " + nodeNames(p), fmt.Sprintf("--pgbouncer postgres://ADMIN@127.0.0.1:%d/pgbouncer", p.nodes[1].Port()), "--without-pooler"}
	p.switchOver(nil, p.cutoverArgs(p.byFile(), "--rehearse")...).wait().exits(exitOK)
	p.run(exitUsage, "cutover", "--confirm", p.name).says(again...)
	one := &pooled{upgrade: p.upgrade, nodes: p.nodes[:1], logs: p.logs}
	one.switchOver(nil, one.cutoverArgs(one.byFile(), "--rehearse")...).wait().exits(exitOK).says("pooler: ", fmt.Sprintf("held the clients of PgBouncer 127.0.0.1:%d, and this one does not name it", p.nodes[1].Port()))
	p.switchOver(nil, p.cutoverArgs(p.byFile())...).wait().exits(exitOK).says("the clients of PgBouncer "+nodeNames(p)+" are moved; point all others at", "pgleap rollback, with the same --pgbouncer, goes back")
	if r := p.lastReport(); !slices.ContainsFunc(r.Timeline, said("the clients are held")) || !slices.ContainsFunc(r.Timeline, said("the traffic points")) {
		t.Errorf("the timeline: %s", mustJSON(r.Timeline))
	}
	p.run(exitOK, "cutover", "--confirm", p.name).says("nothing to do")
	p.run(exitUsage, "rollback", "--confirm", p.name).says(again...)
	load.served()
	back := append([]string{"rollback", "--json", "--confirm", p.name, "--max-write-stall", trafficBudget.String()}, p.byFile()...)
	p.switchOver(nil, back...).wait().exits(exitOK).says("the clients of PgBouncer "+nodeNames(p)+" are moved; point all others at", "pgleap cutover, with the same --pgbouncer, goes to it again")
	load.served()
	p.mustBeAt(s.source)
	p.run(exitOK, "rollback", "--confirm", p.name).says("nothing to do")
	p.run(exitUsage, "cutover", "--confirm", p.name).says(again...)
	load.judge(p.source)
	p.run(exitOK, "cutover", "--confirm", p.name, "--without-pooler").says("point the clients at ")
	r := p.lastReport()
	for _, never := range []string{"the clients", "the traffic"} {
		if slices.ContainsFunc(r.Timeline, said(never)) || !slices.ContainsFunc(r.Timeline, said("the fence begins")) {
			t.Errorf("the timeline of a switch without a pooler: %s", mustJSON(r.Timeline))
		}
	}
}

func said(text string) func(pipeline.Moment) bool {
	return func(m pipeline.Moment) bool { return strings.Contains(m.What, text) }
}

// nodeNames are the poolers as messages name them.
func nodeNames(p *pooled) string {
	var names []string
	for _, n := range p.nodes {
		names = append(names, fmt.Sprintf("127.0.0.1:%d", n.Port()))
	}
	return strings.Join(names, ", ")
}

// TestAbortLetsGoOn: an abort is enough for clients that a killed cutover has left waiting.
func TestAbortLetsGoOn(t *testing.T) {
	p := pooledUpgrade(t, startServers(t, 16, 17), 1)
	load := p.startLoad()
	p.switchOver([]string{killAt + "=switch.moved,watchdog.rescue"}, p.cutoverArgs(p.byFile())...).killed()
	await(t, "the watchdog to die", func() bool { return p.watchdogs() == 0 })
	p.run(exitUsage, "abort").says("was cut short while it held the clients", "give the same --pgbouncer")
	p.start([]string{p.consoles()}, append([]string{"abort"}, p.byFile()...)...).wait().exits(exitOK)
	load.served()
	p.mustBeAt(p.servers.source)
	load.judge(p.source)
}

// TestTrafficUsage: what cannot work is said before anything happens.
func TestTrafficUsage(t *testing.T) {
	const console = "postgres://admin:top-secret@127.0.0.1:6432/pgbouncer"
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--pgbouncer", console}, "give --pgbouncer-config FILE for each, if this machine can write it, or --on-reroute"},
		{[]string{"--pgbouncer", console, "--pgbouncer", console, "--pgbouncer-config", "/a"}, "2 --pgbouncer and 1 --pgbouncer-config"},
		{[]string{"--pgbouncer-config", "/a"}, "not where its admin console is"},
		{[]string{"--pgbouncer", "postgres://admin:top-secret@127.0.0.1:6432/shop", "--on-reroute", "true"}, "the admin console is called pgbouncer"},
		{[]string{"--pgbouncer", console, "--on-reroute", "true", "--target-from-pgbouncer", "postgres://u:top-secret@h/x"}, "give HOST:PORT"},
		{[]string{"--pgbouncer", console, "--on-reroute", "true", "--without-pooler"}, "leave one of them out"},
		{[]string{"--hook-timeout", "0s"}, "give at least 1s"},
		{[]string{"--pause-timeout", "1ns"}, "give at least 100ms"},
	} {
		o := startProcess(t, nil, []string{"PGLEAP_SOURCE=postgres://u@127.0.0.1:1/x", "PGLEAP_TARGET=postgres://u@127.0.0.1:2/x"}, append([]string{"cutover", "--confirm", "x"}, c.args...)...).wait().exits(exitUsage).says(c.says)
		if strings.Contains(o.String(), "top-secret") {
			t.Errorf("a password is shown:\n%s", o)
		}
	}
}

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgleap/plan"
)

// proxy stands between pgleap and the source.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	conns   []net.Conn
	stalled chan struct{} // closed while bytes may flow
}

func startProxy(t *testing.T, port int) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: fmt.Sprintf("127.0.0.1:%d", port), stalled: make(chan struct{})}
	close(p.stalled)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	go p.pipe(client, server)
	p.pipe(server, client)
}

// pipe moves bytes; while the proxy is stalled they are swallowed up, and neither side hears of it.
func (p *proxy) pipe(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		flows := p.stalled
		p.mu.Unlock()
		<-flows
		if err != nil {
			_ = to.Close()
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// Stall makes a black hole of the way, Cut resets every connection.
func (p *proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = make(chan struct{})
}

// Flow ends a Stall.
func (p *proxy) Flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stalled)
}

func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.conns = nil
}

// through is the source's address behind the proxy; the target goes straight to the source.
func (p *proxy) through(u *upgrade) []string {
	port := strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port)
	own := fmt.Sprintf(":%d/", u.servers.source.Port)
	return []string{"PGLEAP_SOURCE=" + strings.Replace(u.sourceURI, own, ":"+port+"/", 1), fmt.Sprintf("PGLEAP_SOURCE_FROM_TARGET=127.0.0.1:%d", u.servers.source.Port)}
}

// TestNetworkDiesInTheSwitch: the way to the source dies while the switch holds every lock. The source lets go
// by itself, and pgleap claims only what the source has told it.
func TestNetworkDiesInTheSwitch(t *testing.T) {
	const budget = time.Second
	pair := startServers(t, 15, 18)
	for _, c := range []struct {
		name string
		die  func(*proxy)
		code int
		says string
	}{
		{"a black hole", (*proxy).Stall, exitUnexpected, "cannot be asked whether it has let go of its locks"},
		{"a reset", (*proxy).Cut, exitNotSwitched, "the source is writable again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := pair.upgrade(t, small)
			u.run(exitOK, "sync")
			w := startWriter(t, u.sourceURI, "insert into customers (name) values ('x')")
			w.served()
			way := startProxy(t, u.servers.source.Port)
			p := u.start(append(way.through(u), stopAt+"=switch.prepared,switch.marked"), "cutover", "--json", "--confirm", u.name, "--max-write-stall", budget.String())
			awaitStopped(t, p)
			blocker := connect(t, u.targetURI) // keeps apply, and so the drain, from going on
			blocker.run("begin; lock table customers in exclusive mode")
			w.served()
			goOn(t, p)
			awaitStopped(t, p)
			died := time.Now()
			c.die(way)
			goOn(t, p)
			w.servedAfter(died)
			p.wait().exits(c.code).says(c.says)
			way.Cut() // what a server's keepalive does in time: the run lock's session goes
			w.stop()
			if gap := w.longestGap(); gap > budget+8*time.Second {
				t.Errorf("writes were stopped for %s with a budget of %s", gap, budget)
			}
			blocker.run("rollback")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.target.is(u.source.run("select count(*), sum(id) from customers"), "select count(*), sum(id) from customers")
		})
	}
}

// TestCommitIsNotAnswered: the server's process stands still over our commit. Whatever pgleap then says of the
// fence holds for good.
func TestCommitIsNotAnswered(t *testing.T) {
	u := startServers(t, 15, 18).upgrade(t, small)
	u.run(exitOK, "sync")
	p := u.start([]string{stopAt + "=switch.before-commit"}, "cutover", "--json", "--confirm", u.name)
	awaitStopped(t, p)
	pid, err := strconv.Atoi(u.source.run(`select pid from pg_stat_activity where application_name = 'pgleap/cutover' and state = 'idle in transaction' and query like '%create trigger%'`))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	goOn(t, p)
	p.awaits("the commit of the fence was not answered")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o := p.wait()
	fenced := u.source.run(`select count(*) > 0 from pg_trigger where tgname = '`+plan.FenceTrigger+`'`) == "t"
	if fenced != (o.code == exitOK) {
		t.Fatalf("fenced: %v, but %s", fenced, o)
	}
	if !fenced {
		o.exits(exitNotSwitched).says("the source is writable again")
		u.source.run("insert into customers (name) values ('again')")
		u.run(exitOK, "cutover", "--confirm", u.name)
	}
}

// goOn lets a stopped process go on, and waits until it does.
func goOn(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await(t, "pgleap to go on", func() bool { return !strings.Contains(procStat(p.cmd.Process.Pid), ") T ") })
}

// awaitStopped waits until the process has stopped itself.
func awaitStopped(t *testing.T, p *process) {
	t.Helper()
	await(t, "pgleap to stop itself", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("pgleap %s ended:\n%s\n%s", p.args, &p.stdout, &p.stderr)
		default:
		}
		return strings.Contains(procStat(p.cmd.Process.Pid), ") T ")
	})
}

// procStat is what the kernel says of a process: its state stands behind the name in brackets.
func procStat(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return string(b)
}

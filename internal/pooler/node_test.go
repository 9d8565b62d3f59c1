package pooler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

const patience = 30 * time.Second

// shop is a server, and the connection string of its database for PgBouncer.
type shop struct {
	*pgserver.Server
	conninfo string
}

func startShop(t *testing.T) shop {
	t.Helper()
	s := pgserver.StartT(t, pgserver.Options{Major: 17})
	return shop{s, fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres", s.Port)}
}

// bouncer starts a PgBouncer with the entries shop, in transaction mode, and stay, in session mode.
func (s shop) bouncer(t *testing.T, settings map[string]string) *pgserver.PgBouncer {
	t.Helper()
	return pgserver.StartPgBouncerT(t, pgserver.PgBouncerOptions{
		Databases: map[string]string{"shop": s.conninfo, "stay": s.conninfo + " pool_mode=session"},
		Users:     map[string]string{s.Superuser: s.Password},
		Settings:  settings,
	})
}

func (s shop) client(t *testing.T, p *pgserver.PgBouncer, entry, application string) *pg.Session {
	t.Helper()
	c, err := s.connect(t, p, entry, application)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s shop) connect(t *testing.T, p *pgserver.PgBouncer, entry, application string) (*pg.Session, error) {
	c, err := pg.OpenClient(t.Context(), address(t, p.URI(entry, s.Superuser, s.Password)), pg.Options{Verb: application})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func address(t *testing.T, uri string) pg.Address {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func openNode(t *testing.T, p *pgserver.PgBouncer) *Node {
	t.Helper()
	n, err := Open(t.Context(), address(t, p.AdminURI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func isPaused(t *testing.T, n *Node, db string) bool {
	t.Helper()
	e, err := n.Entry(t.Context(), db)
	must(t, err)
	return e.Paused
}

// query sends one statement in the background and tells how it ended.
func query(t *testing.T, c *pg.Session) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(t.Context(), "select 1")
		done <- err
	}()
	return done
}

// straggle begins a transaction and returns the server process that it holds.
func straggle(t *testing.T, c *pg.Session) (pid int) {
	t.Helper()
	_, err := c.Exec(t.Context(), "begin")
	must(t, err)
	must(t, c.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid))
	return pid
}

func TestNodeTellsWhatItHas(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	if n.Version() == "" || strings.Contains(n.Version(), "PgBouncer") {
		t.Errorf("version %q", n.Version())
	}
	must(t, n.MayPause(t.Context()))
	entries, err := n.Databases(t.Context())
	must(t, err)
	port := fmt.Sprint(s.Port)
	want := []Entry{
		{Name: "shop", Host: "127.0.0.1", Port: port, Database: "postgres", PoolMode: "transaction"},
		{Name: "stay", Host: "127.0.0.1", Port: port, Database: "postgres", PoolMode: "session"},
	}
	if fmt.Sprint(entries) != fmt.Sprint(want) {
		t.Errorf("entries %v, want %v", entries, want)
	}
	if entries[0].WaitsForClients() || !entries[1].WaitsForClients() {
		t.Error("only a PAUSE of session mode waits for clients")
	}
	config, err := n.Config(t.Context())
	must(t, err)
	if config["pool_mode"] != "transaction" || QueryWaitTimeout(config) != 2*time.Minute {
		t.Errorf("pool_mode %q, query_wait_timeout %v", config["pool_mode"], QueryWaitTimeout(config))
	}
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, map[string]string{"stats_users": s.Superuser})
	_, err := Open(t.Context(), address(t, p.URI("pgbouncer", "pgleap_admin", "wrong-word")))
	var ce *pg.ConnectError
	if !errors.As(err, &ce) || strings.Contains(err.Error(), "wrong-word") {
		t.Errorf("error %v", err)
	}
	looker, err := Open(t.Context(), address(t, p.URI("pgbouncer", s.Superuser, s.Password)))
	must(t, err)
	defer looker.Close()
	if err := looker.MayPause(t.Context()); err == nil || !strings.Contains(err.Error(), "admin_users") {
		t.Errorf("a user of stats_users may pause: %v", err)
	}
	must(t, p.Stop(t.Context()))
	if _, err := Open(t.Context(), address(t, p.AdminURI())); err == nil || !strings.Contains(err.Error(), "cannot connect to the pooler") {
		t.Errorf("error %v", err)
	}
}

func TestPausedClientsWaitAndGoOn(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	client := s.client(t, p, "shop", "billing")
	before, err := n.Stats(t.Context(), "shop")
	must(t, err)
	for range 2 { // twice is no error
		must(t, n.Pause(within(t, patience), "shop"))
	}
	if !isPaused(t, n, "shop") || isPaused(t, n, "stay") {
		t.Error("one entry is to be paused, and no other")
	}
	waiting := query(t, client)
	eventually(t, "the client to wait", func() bool {
		stats, err := n.Stats(t.Context(), "shop")
		must(t, err)
		return stats.Waiting == 1 && stats.LongestWait > 0
	})
	for range 2 {
		must(t, n.Resume(t.Context(), "shop"))
	}
	must(t, <-waiting)
	after, err := n.Stats(t.Context(), "shop")
	must(t, err)
	if seen := after.Since(before); seen.Queries != 1 || seen.Transactions != 1 || seen.Waited == 0 || after.Waiting != 0 {
		t.Errorf("clients saw %+v", seen)
	}
}

// TestPauseAwaitsLogins: PgBouncer takes a login that PAUSE cuts off for a server that refuses, and fails who comes
// after RESUME.
func TestPauseAwaitsLogins(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	client := s.client(t, p, "shop", "billing")
	admin, err := s.connect(t, p, "stay", "admin")
	must(t, err)
	must(t, n.Pause(within(t, patience), "shop")) // closes the pool's connections
	must(t, n.Resume(t.Context(), "shop"))
	for _, statement := range []string{"alter system set pre_auth_delay = 1", "select pg_reload_conf()"} {
		_, err := admin.Exec(t.Context(), statement)
		must(t, err)
	}
	eventually(t, "the delay to be in force", func() bool {
		var delay string
		must(t, admin.QueryRow(t.Context(), "show pre_auth_delay").Scan(&delay))
		return delay == "1s"
	})
	answered := query(t, client)
	eventually(t, "the login", func() bool {
		logins, err := n.logins(t.Context(), "shop")
		must(t, err)
		return logins == 1
	})
	must(t, n.Pause(within(t, patience), "shop"))
	stats, err := n.Stats(t.Context(), "shop")
	must(t, err)
	if stats.Waiting != 0 {
		t.Fatal("the login was cut off")
	}
	must(t, <-answered)
}

// TestPauseGivesTheLimitBack: no pool may grow at the moment of PAUSE, but all may while it waits for transactions.
func TestPauseGivesTheLimitBack(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, map[string]string{"max_db_connections": "7"})
	n := openNode(t, p)
	limit := func() string {
		config, err := n.Config(t.Context())
		must(t, err)
		return config["max_db_connections"]
	}
	client := s.client(t, p, "shop", "billing")
	straggle(t, client)
	paused := make(chan error, 1)
	go func() { paused <- n.Pause(within(t, patience), "shop") }()
	eventually(t, "the limit while PAUSE waits", func() bool { return isPaused(t, n, "shop") && limit() == "7" })
	_, err := client.Exec(t.Context(), "commit")
	must(t, err)
	must(t, <-paused)
	must(t, n.freeze(t.Context(), "stay"))
	must(t, n.Resume(t.Context(), "shop")) // of a watchdog, whose process did not freeze
	if got := limit(); got != "7" {
		t.Errorf("max_db_connections is left at %s", got)
	}
}

func TestPauseIsTakenBackAtItsDeadline(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	client := s.client(t, p, "shop", "billing")
	pid := straggle(t, client)
	for range 2 { // the second attempt needs a new session: the first one's never got its answer
		err := n.Pause(within(t, 300*time.Millisecond), "shop")
		var pe *PauseError
		if !errors.As(err, &pe) || !errors.Is(err, context.DeadlineExceeded) || pe.Undo != nil {
			t.Fatalf("error %v", err)
		}
		if len(pe.Stragglers) != 1 || pe.Stragglers[0].PID != pid || pe.Stragglers[0].Application != "billing" || !strings.HasPrefix(pe.Stragglers[0].Client, "127.0.0.1:") {
			t.Errorf("stragglers %+v, want process %d", pe.Stragglers, pid)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("process %d for client 127.0.0.1:", pid)) {
			t.Errorf("error %v", err)
		}
		if isPaused(t, n, "shop") {
			t.Fatal("still paused")
		}
	}
	_, err := client.Exec(t.Context(), "commit")
	must(t, err)
	must(t, <-query(t, s.client(t, p, "shop", "other")))
	must(t, n.Pause(within(t, patience), "shop"))
	must(t, n.Resume(t.Context(), "shop"))
}

func TestPauseOfSessionModeWaitsForTheClient(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	client := s.client(t, p, "stay", "resident")
	must(t, <-query(t, client)) // idle, outside a transaction
	err := n.Pause(within(t, 300*time.Millisecond), "stay")
	var pe *PauseError
	if !errors.As(err, &pe) || len(pe.Stragglers) != 1 || pe.Stragglers[0].Application != "resident" {
		t.Fatalf("error %v", err)
	}
	client.Close()
	must(t, n.Pause(within(t, patience), "stay"))
}

func TestPauseOfAnUnknownDatabase(t *testing.T) {
	s := startShop(t)
	n := openNode(t, s.bouncer(t, nil))
	err := n.Pause(within(t, patience), `no "such`)
	if err == nil || !strings.Contains(err.Error(), "no such database") {
		t.Errorf("error %v", err)
	}
	if err := n.Resume(t.Context(), "nosuch"); err == nil {
		t.Error("resumed what is not there")
	}
}

func TestPauseAllOrNone(t *testing.T) {
	s := startShop(t)
	p1, p2 := s.bouncer(t, nil), s.bouncer(t, nil)
	free, held := openNode(t, p1), openNode(t, p2)
	targets := []Target{{free, "shop"}, {held, "shop"}}
	client := s.client(t, p1, "shop", "quick")
	straggler := s.client(t, p2, "shop", "slow")
	pid := straggle(t, straggler)

	err := PauseAll(within(t, 300*time.Millisecond), targets)
	var pe *PauseError
	if !errors.As(err, &pe) || pe.Node != held || pe.Undo != nil || len(pe.Stragglers) != 1 || pe.Stragglers[0].PID != pid {
		t.Fatalf("error %v, want one that names process %d on %s", err, pid, held)
	}
	for _, target := range targets {
		if isPaused(t, target.Node, "shop") {
			t.Errorf("%s is still paused", target.Node)
		}
	}
	must(t, <-query(t, client))
	_, err = straggler.Exec(t.Context(), "commit")
	must(t, err)

	must(t, PauseAll(within(t, patience), targets))
	waiting := []chan error{query(t, client), query(t, straggler)}
	must(t, ResumeAll(t.Context(), targets))
	for _, w := range waiting {
		must(t, <-w)
	}
}

func TestNodeThatDiesInThePause(t *testing.T) {
	s := startShop(t)
	p1, p2 := s.bouncer(t, nil), s.bouncer(t, nil)
	lives, dies := openNode(t, p1), openNode(t, p2)
	straggle(t, s.client(t, p2, "shop", "slow"))
	client := s.client(t, p1, "shop", "quick")

	failed := make(chan error, 1)
	go func() { failed <- PauseAll(within(t, patience), []Target{{lives, "shop"}, {dies, "shop"}}) }()
	eventually(t, "both to be paused", func() bool { return isPaused(t, lives, "shop") && isPaused(t, dies, "shop") })
	must(t, syscall.Kill(p2.PID(), syscall.SIGKILL))

	err := <-failed
	var pe *PauseError
	if !errors.As(err, &pe) || pe.Node != dies || pe.Undo == nil || !strings.Contains(err.Error(), `resume "shop"`) {
		t.Fatalf("error %v, want one that names %s", err, dies)
	}
	if isPaused(t, lives, "shop") {
		t.Error("the other node is still paused")
	}
	must(t, <-query(t, client))
	err = ResumeAll(t.Context(), []Target{{dies, "shop"}, {lives, "shop"}})
	if !errors.As(err, new(*pg.ConnectError)) {
		t.Errorf("error %v", err)
	}
}

// TestRefusedNodeDoesNotHoldTheOthers: one that fails at once stops one that would wait.
func TestRefusedNodeDoesNotHoldTheOthers(t *testing.T) {
	s := startShop(t)
	p1, p2 := s.bouncer(t, nil), s.bouncer(t, nil)
	waits, refuses := openNode(t, p1), openNode(t, p2)
	straggle(t, s.client(t, p1, "shop", "slow"))
	err := PauseAll(within(t, patience), []Target{{waits, "shop"}, {refuses, "nosuch"}})
	if err == nil || !strings.Contains(err.Error(), "nosuch") || strings.Contains(err.Error(), waits.String()) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the refusal alone", err)
	}
	if isPaused(t, waits, "shop") {
		t.Error("still paused")
	}
}

func TestLostSessionsAreOpenedAnew(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	w := startWire(t, p.Port())
	n, err := Open(t.Context(), address(t, strings.Replace(p.AdminURI(), fmt.Sprint(":", p.Port()), fmt.Sprint(":", w.port), 1)))
	must(t, err)
	t.Cleanup(n.Close)
	for range 2 {
		must(t, n.Pause(within(t, patience), "shop"))
		w.cut()
		must(t, n.Resume(t.Context(), "shop"))
		if isPaused(t, n, "shop") {
			t.Error("still paused")
		}
	}
}

// wire is a network between us and a PgBouncer.
type wire struct {
	port int
	mu   sync.Mutex
	ends []net.Conn
}

func startWire(t *testing.T, to int) *wire {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	w := &wire{port: l.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() { _ = l.Close(); w.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", to))
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.ends = append(w.ends, near, far)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(near, far) }()
			go func() { _, _ = io.Copy(far, near) }()
		}
	}()
	return w
}

// cut ends all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		_ = c.Close()
	}
	w.ends = nil
}

// TestNewClientsOfAMovedEntryAreNotHeldUp: clients that log in between RELOAD and RESUME make PgBouncer believe that
// the server refuses, and everybody would wait for server_login_retry.
func TestNewClientsOfAMovedEntryAreNotHeldUp(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, map[string]string{"server_login_retry": "20"})
	n := openNode(t, p)
	old := s.client(t, p, "shop", "old")
	must(t, <-query(t, old))
	must(t, n.Pause(within(t, patience), "shop"))
	f, err := OpenFile(p.ConfigFile(), "r1")
	must(t, err)
	want := Values{Host: "127.0.0.1", Port: fmt.Sprint(s.Port), DBName: "template1"}
	must(t, f.Point("shop", want))
	must(t, n.ReloadTo(t.Context(), "shop", want))
	if !isPaused(t, n, "shop") {
		t.Fatal("a RELOAD resumes")
	}

	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := s.connect(t, p, "shop", fmt.Sprint("new", i)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the new clients", func() bool {
		stats, err := n.Stats(t.Context(), "shop")
		must(t, err)
		return stats.Waiting == 3
	})
	wg.Go(func() { // a server that refuses would fail it at once
		if err := <-query(t, old); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the old client", func() bool {
		stats, err := n.Stats(t.Context(), "shop")
		must(t, err)
		return stats.Waiting == 4
	})
	start := time.Now()
	must(t, n.Resume(t.Context(), "shop"))
	wg.Wait()
	t.Logf("clients waited %v after RESUME", time.Since(start).Round(time.Millisecond))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("clients waited %v after RESUME", d)
	}
	must(t, n.Settle(within(t, patience)))
	config, err := n.Config(t.Context())
	must(t, err)
	if config["server_login_retry"] != "20" {
		t.Errorf("server_login_retry is left at %s", config["server_login_retry"])
	}
}

func TestReloadOfABrokenFileIsNoticed(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	must(t, os.WriteFile(p.ConfigFile(), []byte("[databases]\nthis is nothing\nshop = host=localhost\n"), 0o600))
	must(t, n.Reload(t.Context()))
	err := n.ReloadTo(t.Context(), "shop", Values{Host: "localhost"})
	if err == nil || !strings.Contains(err.Error(), "still points at 127.0.0.1:") {
		t.Errorf("error %v", err)
	}
}

func TestMatch(t *testing.T) {
	source := address(t, "postgres://u@10.0.0.5:5432/shop")
	at := func(name, host, database string) Entry {
		return Entry{Name: name, Host: host, Port: "5432", Database: database}
	}
	for name, c := range map[string]struct {
		entries []Entry
		given   string
		want    string // the entry, or a part of the error
		fails   bool
	}{
		"given":            {[]Entry{at("a", "10.0.0.5", "shop"), at("b", "x", "y")}, "b", "b", false},
		"given, missing":   {[]Entry{at("a", "10.0.0.5", "shop")}, "b", `no database "b"; it has a → 10.0.0.5:5432/shop`, true},
		"exact":            {[]Entry{at("a", "x", "shop"), at("b", "10.0.0.5", "shop"), at("c", "10.0.0.5", "y")}, "", "b", false},
		"another name":     {[]Entry{at("a", "db.internal", "shop"), at("c", "10.0.0.5", "y")}, "", "a", false},
		"two exact":        {[]Entry{at("a", "10.0.0.5", "shop"), at("b", "10.0.0.5", "shop")}, "", "--pgbouncer-database", true},
		"two by database":  {[]Entry{at("a", "x", "shop"), at("b", "y", "shop")}, "", "a → x:5432/shop, b → y:5432/shop", true},
		"none":             {[]Entry{at("c", "10.0.0.5", "y")}, "", "none of PgBouncer's databases points at 10.0.0.5:5432/shop", true},
		"nothing at all":   {nil, "", "it has none", true},
		"wildcard":         {[]Entry{at("a", "x", "shop")}, "*", "an entry of its own", true},
		"disabled":         {[]Entry{{Name: "a", Database: "shop", Disabled: true}}, "", `enable "a"`, true},
		"paused":           {[]Entry{{Name: "a", Database: "shop", Paused: true}}, "", `resume "a"`, true},
		"another's paused": {[]Entry{at("a", "10.0.0.5", "shop"), {Name: "b", Database: "y", Paused: true}}, "", "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Match(c.entries, source, c.given)
			if c.fails && (err == nil || !strings.Contains(err.Error(), c.want)) || !c.fails && (err != nil || e.Name != c.want) {
				t.Errorf("%+v, %v; want %q", e, err, c.want)
			}
		})
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// servers are an old and a new server, shared by the cases of one test.
type servers struct {
	source, target *pgserver.Server
	count          atomic.Int32
}

// startServers starts both, and in the end looks for either password in either log.
func startServers(t *testing.T, from, to int) *servers {
	t.Helper()
	return startServersWith(t, from, to, nil)
}

func startServersWith(t *testing.T, from, to int, onTarget map[string]string) *servers {
	t.Helper()
	p := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: from}),
		target: pgserver.StartT(t, pgserver.Options{Major: to, Settings: onTarget}),
	}
	t.Cleanup(func() {
		for _, s := range []*pgserver.Server{p.source, p.target} {
			log, err := s.Log()
			if err != nil {
				t.Error(err)
			}
			for _, secret := range p.secrets() {
				if strings.Contains(log, secret) {
					t.Errorf("a password stands in the log of PostgreSQL %d", s.Major)
				}
			}
		}
	})
	return p
}

func (p *servers) secrets() []string { return []string{p.source.Password, p.target.Password} }

// upgrade is one database on both servers, and the environment in which pgleap finds it.
type upgrade struct {
	t              *testing.T
	servers        *servers
	name           string
	sourceURI      string
	targetURI      string
	source, target *client
}

// upgrade makes a database of its own on both servers; sql fills the source's.
func (p *servers) upgrade(t *testing.T, sql string) *upgrade {
	t.Helper()
	u := &upgrade{t: t, servers: p, name: fmt.Sprintf("db%d", p.count.Add(1))}
	for _, s := range []*pgserver.Server{p.source, p.target} {
		connect(t, s.URI("postgres")).run("create database " + u.name)
	}
	u.sourceURI, u.targetURI = p.source.URI(u.name), p.target.URI(u.name)
	u.source, u.target = connect(t, u.sourceURI), connect(t, u.targetURI)
	u.source.run(sql)
	return u
}

// client is a session of a test, which ends with it.
type client struct {
	t       *testing.T
	session *pg.Session
}

func connect(t *testing.T, uri string) *client {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pg.OpenClient(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &client{t, s}
}

// run sends statements and returns their rows as text: the fields parted by |, the rows by newlines.
func (c *client) run(sql string) string {
	c.t.Helper()
	rows, err := c.session.Script(context.WithoutCancel(c.t.Context()), sql)
	if err != nil {
		c.t.Fatalf("%s: %s", sql, pg.Message(err))
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = strings.Join(r, "|")
	}
	return strings.Join(lines, "\n")
}

// is fails the test unless the query answers want.
func (c *client) is(want, sql string) {
	c.t.Helper()
	if got := c.run(sql); got != want {
		c.t.Errorf("%s\n got %q\nwant %q", sql, got, want)
	}
}

// process is a pgleap that runs.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	secrets        []string
	args           string
	ended          chan struct{}
}

// output can be read while it is being written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts pgleap with the addresses of u in its environment; later variables win.
func (u *upgrade) start(variables []string, args ...string) *process {
	u.t.Helper()
	env := append([]string{"PGLEAP_SOURCE=" + u.sourceURI, "PGLEAP_TARGET=" + u.targetURI}, variables...)
	return startProcess(u.t, u.servers.secrets(), env, copiedByServer(args)...)
}

// copiedByServer: tests of the whole walk look into PostgreSQL's own copy; those of streams say so, and rehearsals, where
// the plan chooses, take streams.
func copiedByServer(args []string) []string {
	if len(args) == 0 || args[0] != "sync" && args[0] != "plan" && args[0] != "check" || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--copy=") || a == "--copy" }) {
		return args
	}
	return append(slices.Clone(args), "--copy=server")
}

func startProcess(t *testing.T, secrets, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), secrets: secrets, args: strings.Join(args, " "), ended: make(chan struct{})}
	p.cmd.Env = append(append(cleanEnvironment(), "PGLEAP_REPORT="+t.TempDir()), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// cleanEnvironment is ours without whatever would give pgleap an address.
func cleanEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") || strings.HasPrefix(v, pgserver.FolderVariable+"=") || strings.HasPrefix(v, "PGLEAP_PG_DUMP=") {
			env = append(env, v)
		}
	}
	return append(env, asCommand+"=1")
}

// longest is the deadline of everything that is waited for; only a fault reaches it.
var longest = 90 * time.Second

// finished is what a pgleap that has ended leaves.
type finished struct {
	t              *testing.T
	args           string
	code           int
	stdout, stderr string
}

// wait waits for the end of the process and looks for passwords in what it wrote.
func (p *process) wait() finished {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(longest):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines, on stderr
		<-p.ended
		p.t.Fatalf("pgleap %s does not end\nstdout:\n%s\nstderr:\n%s", p.args, &p.stdout, &p.stderr)
	}
	o := finished{p.t, p.args, p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
	for _, secret := range p.secrets {
		if strings.Contains(o.stdout+o.stderr, secret) {
			p.t.Errorf("pgleap %s printed a password:\n%s", p.args, o)
		}
	}
	return o
}

// awaits waits until the process has written text, to stdout or stderr.
func (p *process) awaits(text string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("pgleap %s to write %q", p.args, text), func() bool {
		if strings.Contains(p.stdout.String()+p.stderr.String(), text) {
			return true
		}
		select {
		case <-p.ended:
			p.t.Fatalf("pgleap %s ended without %q:\n%s\n%s", p.args, text, &p.stdout, &p.stderr)
		default:
		}
		return false
	})
}

// run runs pgleap to its end, which must have that exit code.
func (u *upgrade) run(code int, args ...string) finished {
	u.t.Helper()
	return u.start(nil, args...).wait().exits(code)
}

// runWith is run with variables of the environment.
func (u *upgrade) runWith(variables []string, code int, args ...string) finished {
	u.t.Helper()
	return u.start(variables, args...).wait().exits(code)
}

func (o finished) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", o.code, o.stdout, o.stderr)
}

func (o finished) exits(code int) finished {
	o.t.Helper()
	if o.code != code {
		o.t.Fatalf("pgleap %s: want exit %d, got %s", o.args, code, o)
	}
	verb, _, _ := strings.Cut(o.args, " ")
	if c := newApp().Command(verb); code >= 0 && !strings.Contains(c.Description, fmt.Sprintf("\n   %-4d ", code)) {
		o.t.Errorf("exit code %d of pgleap %s is not in its --help", code, verb)
	}
	return o
}

// says fails the test unless every word is somewhere in the output.
func (o finished) says(words ...string) finished {
	o.t.Helper()
	for _, w := range words {
		if !strings.Contains(o.stdout+o.stderr, w) {
			o.t.Errorf("pgleap %s does not say %q:\n%s", o.args, w, o)
		}
	}
	return o
}

func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// events are the JSON lines of stdout.
func (o finished) events() []plan.Event {
	o.t.Helper()
	var list []plan.Event
	for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n") {
		var e plan.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			o.t.Fatalf("pgleap %s: %q is not an event: %v", o.args, line, err)
		}
		list = append(list, e)
	}
	return list
}

// into decodes the one document of stdout.
func (o finished) into(v any) finished {
	o.t.Helper()
	d := json.NewDecoder(strings.NewReader(o.stdout))
	if err := d.Decode(v); err != nil {
		o.t.Fatalf("pgleap %s: stdout is not JSON: %v\n%s", o.args, err, o)
	}
	if d.More() {
		o.t.Errorf("pgleap %s: more than one document on stdout", o.args)
	}
	return o
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(longest)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ours lists what pgleap has in a database, and in the cluster for it. An origin without a subscription is
// one that was left behind, whoever's it was.
const ours = `select 'slot ' || slot_name from pg_replication_slots where slot_name ~ '^pgleap_' and (database = current_database() or slot_name = 'pgleap_' || current_database())
union all select 'copy slot ' || slot_name from pg_replication_slots where database = current_database() and slot_name ~ '^pg_[0-9]+_sync_'
union all select 'publication ' || pubname from pg_publication
union all select 'subscription ' || subname from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())
union all select 'schema ' || nspname from pg_namespace where nspname ~ 'pgleap'
union all select 'trigger on ' || tgrelid::regclass from pg_trigger where tgname ~ 'pgleap'
union all select 'origin ' || roname from pg_replication_origin where roname ~ '^pg_[0-9]+' and split_part(roname, '_', 2)::oid not in (select oid from pg_subscription)
order by 1`

// snapshot is what both databases hold.
type snapshot struct{ source, target []string }

func (u *upgrade) snapshot() snapshot { return snapshot{u.source.contents(), u.target.contents()} }

func (c *client) contents() []string {
	c.t.Helper()
	objects, err := catalog.Objects(context.WithoutCancel(c.t.Context()), c.session)
	if err != nil {
		c.t.Fatal(err)
	}
	list := strings.Split(c.run(ours), "\n")
	for _, o := range objects {
		list = append(list, fmt.Sprintf("%s %s: %s", o.Kind, o.Name, o.Definition))
	}
	return list
}

// unchanged fails the test unless both databases hold what they held before.
func (u *upgrade) unchanged(before snapshot) {
	u.t.Helper()
	now := u.snapshot()
	u.source.same("source", before.source, now.source)
	u.target.same("target", before.target, now.target)
}

func (c *client) same(side string, before, now []string) {
	c.t.Helper()
	was, is := set(before), set(now)
	for o := range is {
		if !was[o] {
			c.t.Errorf("left behind on the %s: %s", side, o)
		}
	}
	for o := range was {
		if !is[o] {
			c.t.Errorf("gone from the %s: %s", side, o)
		}
	}
}

func set(list []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

// dump is pg_dump's text of a database, without the key that it makes anew each time.
func dump(t *testing.T, uri string, args ...string) string {
	t.Helper()
	folders := pgserver.ClientFolders()
	if len(folders) == 0 {
		t.Fatal("no client programs: run `make servers`")
	}
	out, err := exec.Command(filepath.Join(folders[0], "pg_dump"), append(args, "-d", uri)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.Split(string(out), "\n") {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// small is a schema with a bit of everything that a walk treats on its own.
const small = `create table customers (id bigserial primary key, name text not null);
create table orders (id int generated by default as identity primary key, customer bigint not null references customers, note text);
create index orders_customer on orders (customer);
create view busy as select customer, count(*) from public.orders group by 1;
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on orders for each row execute procedure touch();
insert into customers (name) select 'c' || n from generate_series(1, 20) n;
insert into orders (customer, note) select 1 + n % 20, repeat('x', n) from generate_series(1, 200) n;`

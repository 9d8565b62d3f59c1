package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

//go:embed testdata/kill.sql
var killSQL string

// killSide is one of the two servers of a test.
type killSide struct {
	name   plan.Side
	server *pgserver.Server
}

// killBench is two servers on which every iteration has a pair of databases of its own.
type killBench struct {
	source, target killSide
	mu             sync.Mutex // a template must be alone while it is copied
	n              int
}

// killTemplate is the database that every iteration's source is a copy of.
const killTemplate = "seed"

func newKillBench(t *testing.T, from, to int) *killBench {
	t.Helper()
	room := map[string]string{
		"max_replication_slots": "60", "max_wal_senders": "60", "max_worker_processes": "80", "max_logical_replication_workers": "60",
		"max_sync_workers_per_subscription": "6", "max_connections": "200",
		"wal_retrieve_retry_interval": "100ms", // a worker that met an error would wait 5 s
		"autovacuum":                  "off",   // makes statistics that are to be missed
	}
	// Thousands of connections: checking a password each time would be half of the work.
	trust := []string{"host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"}
	b := &killBench{}
	var group sync.WaitGroup
	for _, x := range []struct {
		side  *killSide
		name  plan.Side
		major int
	}{{&b.source, plan.Source, from}, {&b.target, plan.Target, to}} {
		settings := map[string]string{}
		for k, v := range room {
			settings[k] = v
		}
		if x.major >= 18 {
			settings["max_active_replication_origins"] = "60"
		}
		group.Go(func() {
			*x.side = killSide{x.name, pgserver.StartT(t, pgserver.Options{Major: x.major, Settings: settings, HBA: trust})}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	p := &killPair{t: t, bench: b, database: killTemplate, source: b.source, target: b.target}
	p.admin(b.source, "create database "+killTemplate)
	p.query(b.source, killSQL)
	p.closeSessions()
	return b
}

// killPair is two databases of one name: the source with the schema of testdata/kill.sql, the target empty.
type killPair struct {
	t              *testing.T
	bench          *killBench
	database       string
	source, target killSide
	load           *killLoad
	sessions       map[string]*pg.Session // of query
}

// newPair makes the databases and starts the load. At the test's end both go, unless it failed.
func (b *killBench) newPair(t *testing.T) *killPair {
	t.Helper()
	b.mu.Lock()
	b.n++
	p := &killPair{t: t, bench: b, database: fmt.Sprintf("app%03d", b.n), source: b.source, target: b.target}
	p.admin(b.source, "create database "+p.database+" template "+killTemplate)
	p.admin(b.target, "create database "+p.database)
	b.mu.Unlock()
	p.load = startLoad(t, p)
	t.Cleanup(p.close)
	return p
}

func (p *killPair) close() {
	p.load.end()
	p.closeSessions() // before their databases go
	defer p.closeSessions()
	if p.t.Failed() { // a subscription forbids it
		return
	}
	p.admin(p.target, "drop database "+p.database)
	p.admin(p.source, "drop database "+p.database)
}

func (p *killPair) openOn(s killSide, database string) *pg.Session {
	address, err := pg.ParseAddress(s.server.URI(database))
	if err != nil {
		panic(err) // our own text
	}
	session, err := pg.OpenClient(context.Background(), address, pg.Options{Verb: "kill", Settings: clientSettings})
	if err != nil {
		panic(err) // may be called from any goroutine of a test
	}
	return session
}

// clientSettings: where the backend of a commit is held up between flushing its WAL and marking it in the commit
// log, the first copy's snapshot can take the transaction for aborted, and the publisher's own row is lost with
// it: a race in PostgreSQL's logical decoding (pgsql-hackers, January 2026, "Race conditions in logical
// decoding"), met here on two busy processors. An asynchronous commit is marked before it is flushed.
var clientSettings = map[string]string{"synchronous_commit": "off"}

func (p *killPair) open(s killSide) *pg.Session { return p.openOn(s, p.database) }

// query sends statements as the superuser and returns their rows.
func (p *killPair) query(s killSide, sql string) [][]string {
	p.t.Helper()
	return p.queryOn(s, p.database, sql)
}

func (p *killPair) admin(s killSide, sql string) [][]string {
	p.t.Helper()
	return p.queryOn(s, "postgres", sql)
}

func (p *killPair) queryOn(s killSide, database, sql string) [][]string {
	p.t.Helper()
	key := string(s.name) + " " + database
	if p.sessions == nil {
		p.sessions = map[string]*pg.Session{}
	}
	if p.sessions[key] == nil {
		p.sessions[key] = p.openOn(s, database)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := p.sessions[key].Script(ctx, sql)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", s.name, err, plan.OneLine(sql))
	}
	return rows
}

// script sends statements on a session of the test's own, whose transaction may stay open.
func (p *killPair) script(s *pg.Session, sql string) {
	p.t.Helper()
	if _, err := s.Script(context.Background(), sql); err != nil {
		p.t.Fatalf("%v\n%s", err, plan.OneLine(sql))
	}
}

func (p *killPair) closeSessions() {
	for _, s := range p.sessions {
		s.Close()
	}
	p.sessions = nil
}

// killOutcome is how one run of the command ended.
type killOutcome struct {
	line   string
	signal syscall.Signal // 0: it ended by itself
	exit   int
	events []plan.Event
	text   string
}

func (o killOutcome) String() string {
	how := fmt.Sprintf("exit %d", o.exit)
	if o.signal != 0 {
		how = o.signal.String()
	}
	return fmt.Sprintf("%s: %s\n%s", o.line, how, o.text)
}

// killRun is a run of pgleap under way.
type killRun struct {
	pair   *killPair
	cmd    *exec.Cmd
	cancel context.CancelFunc
	line   string
	stderr bytes.Buffer

	mu     sync.Mutex
	events []plan.Event
	text   bytes.Buffer
	read   chan struct{} // closed at stdout's end
}

// killPatience bounds one run of the command: a hang is a failure.
const killPatience = 90 * time.Second

// start runs a verb as a process. The clients are let go to the target when it says released.
func (p *killPair) start(verb string, env ...string) *killRun {
	p.t.Helper()
	args := []string{verb, "--json"}
	switch verb {
	case "cutover", "finalize":
		args = append(args, "--confirm", p.database)
	case "sync":
		args = append(args, "--jobs", "2")
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	c := &killRun{pair: p, cancel: cancel, cmd: exec.CommandContext(ctx, os.Args[0], args...), line: "pgleap " + strings.Join(args, " ") + " " + strings.Join(env, " "), read: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), asCommand+"=1", "PGLEAP_SOURCE="+p.source.server.URI(p.database), "PGLEAP_TARGET="+p.target.server.URI(p.database)), env...)
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			c.event(lines.Bytes())
		}
	}()
	return c
}

func (c *killRun) event(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(append(line, '\n'))
	var e plan.Event
	if json.Unmarshal(line, &e) != nil {
		return
	}
	c.events = append(c.events, e)
	if e.Kind == plan.EventReleased {
		c.pair.load.flip()
	}
}

// said tells whether such an event was printed.
func (c *killRun) said(kind plan.EventKind, step plan.StepID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.events, func(e plan.Event) bool { return e.Kind == kind && (step == "" || e.Step == step) })
}

// ended tells whether the process has closed its output.
func (c *killRun) ended() bool {
	select {
	case <-c.read:
		return true
	default:
		return false
	}
}

func (c *killRun) kill() killOutcome {
	_ = c.cmd.Process.Kill() // it may have ended: then wait tells
	return c.wait()
}

func (c *killRun) wait() killOutcome {
	<-c.read
	err := c.cmd.Wait()
	c.cancel()
	o := killOutcome{line: c.line, events: c.events, text: c.text.String() + c.stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		o.exit = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			o.signal = status.Signal()
		}
	} else if err != nil {
		c.pair.t.Fatalf("%s: %v", c.line, err)
	}
	return o
}

// killed runs a verb that must die at the point.
func (p *killPair) killed(verb, at string) {
	p.t.Helper()
	if o := p.start(verb, killAt+"="+at).wait(); o.signal != syscall.SIGKILL {
		p.t.Fatalf("was not killed at %s: %s", at, o)
	}
}

func (p *killPair) mustHaveDied(o killOutcome) {
	p.t.Helper()
	if o.signal != syscall.SIGKILL {
		p.t.Fatalf("ended before it was killed: %s", o)
	}
}

// must runs a verb that must end with 0.
func (p *killPair) must(verb string, env ...string) killOutcome {
	p.t.Helper()
	o := p.start(verb, env...).wait()
	p.mustHaveDone(o)
	return o
}

func (p *killPair) mustHaveDone(o killOutcome) {
	p.t.Helper()
	if o.exit != 0 || o.signal != 0 {
		p.t.Fatalf("failed: %s", o)
	}
}

// mustGoOn: a killed cutover either stopped nobody, or has fenced everything.
func (p *killPair) mustGoOn() {
	p.t.Helper()
	if len(p.query(p.source, `select from pg_trigger where tgname = '`+plan.FenceTrigger+`'`)) == 0 {
		p.load.await(1)
	}
}

// mustBeDone expects the upgrade to be finished, whatever is run once more, and judges it.
func (p *killPair) mustBeDone(want []string) {
	p.t.Helper()
	p.mustDoNothing("sync")
	p.mustDoNothing("cutover")
	p.load.awaitMoved(3)
	p.load.end()
	p.load.judge()
	sameState(p.t, "compared with an undisturbed run", want, p.state())
}

// mustDoNothing runs a verb that has nothing to do any more, and may say nothing else.
func (p *killPair) mustDoNothing(verb string) {
	p.t.Helper()
	o := p.must(verb)
	for _, e := range o.events {
		if !slices.Contains([]plan.EventKind{plan.EventSkipped, plan.EventResult, plan.EventNote}, e.Kind) {
			p.t.Errorf("had nothing to do, and said %q: %s", e.Kind, o)
		}
	}
}

type killQuery struct {
	side killSide
	sql  string
}

// state is all that an upgrade leaves on both sides, but for the rows and the positions of sequences.
func (p *killPair) state() []string {
	p.t.Helper()
	out := append(p.objects(p.source), p.objects(p.target)...)
	queries := []killQuery{
		{p.source, `select format('fence on %s', tgrelid::regclass) from pg_trigger where tgname = '` + plan.FenceTrigger + `' and not tgisinternal`},
		{p.target, `select format('statistics of %s, inherited %s', starelid::regclass, stainherit) from pg_statistic where starelid >= 16384 group by starelid, stainherit having count(*) > 0`},
		{p.target, `select format('index %s, valid %s', indexrelid::regclass, indisvalid) from pg_index where indexrelid >= 16384 and indrelid::regclass::text like 'app.%'`},
		{p.target, `select format('matview rows %s', count(*)) from pg_class where oid = to_regclass('app.totals') and relispopulated`},
	}
	if len(p.query(p.target, "select where to_regclass('pgleap.event') is not null")) > 0 {
		queries = append(queries, killQuery{p.target, `select format('%s of %s %s, %s times', kind, stage, step, count(*)) from pgleap.event where kind in ('step-done', 'stage-done') group by kind, stage, step`})
	}
	for _, q := range queries {
		for _, r := range p.query(q.side, q.sql) {
			out = append(out, string(q.side.name)+": "+strings.ReplaceAll(r[0], p.database, "DATABASE"))
		}
	}
	for _, s := range []killSide{p.source, p.target} {
		for _, line := range p.ours(s) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// objects are the definitions of one side.
func (p *killPair) objects(s killSide) []string {
	p.t.Helper()
	p.query(s, "select") // opens the session
	list, err := catalog.Objects(context.Background(), p.sessions[string(s.name)+" "+p.database])
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		out = append(out, strings.ReplaceAll(fmt.Sprintf("%s: %s %s: %s", s.name, o.Kind, o.Name, o.Definition), p.database, "DATABASE"))
	}
	return out
}

// ours are the things that carry rows, and that must be gone in the end.
func (p *killPair) ours(s killSide) []string {
	p.t.Helper()
	var out []string
	for _, r := range p.query(s, `select 'slot ' || slot_name from pg_replication_slots where database = current_database()
union all select 'publication ' || pubname from pg_publication
union all select 'subscription ' || subname from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())
union all select 'schema ' || nspname from pg_namespace where nspname = 'pgleap'`) {
		out = append(out, fmt.Sprintf("%s: %s", s.name, strings.ReplaceAll(r[0], p.database, "DATABASE")))
	}
	return out
}

// mustHoldNothing: what belongs to no database must be gone as well.
func (b *killBench) mustHoldNothing(t *testing.T) {
	t.Helper()
	p := &killPair{t: t, bench: b, source: b.source, target: b.target}
	defer p.closeSessions()
	for _, s := range []killSide{b.source, b.target} {
		for _, r := range p.admin(s, `select 'slot ' || slot_name from pg_replication_slots
union all select 'subscription ' || subname from pg_subscription
union all select 'origin ' || roname from pg_replication_origin`) {
			t.Errorf("left on the %s: %s", s.name, r[0])
		}
	}
}

// sameState says which lines are only in one of the two.
func sameState(t *testing.T, what string, want, got []string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range want {
		count[l]++
	}
	for _, l := range got {
		count[l]--
	}
	for l, k := range count {
		if k > 0 {
			t.Errorf("%s: missing: %s", what, l)
		} else if k < 0 {
			t.Errorf("%s: too much: %s", what, l)
		}
	}
}

// awaitThat waits for a condition.
func awaitThat(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited too long: %s", what)
		case <-tick.C:
		}
	}
}

package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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

func newKillBench(t *testing.T, from, to int, more ...string) *killBench {
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
	sql := killSQL
	if from < 11 { // there a partitioned table has no index
		sql = strings.Replace(sql, "create index event_client on app.event (client, n);", "", 1)
	}
	p.query(b.source, sql)
	for _, sql := range more {
		p.query(b.source, sql)
	}
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
	rollsBack      bool                   // the target may refuse writes, too
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

// clientSettings: where a backend is held up between flushing its commit's WAL and marking the commit in the
// commit log, the first copy's snapshot can take the transaction for aborted, and the publisher's own row is
// lost with it: a race in PostgreSQL's logical decoding (pgsql-hackers, January 2026, "Race conditions in
// logical decoding"). An asynchronous commit is marked before it is flushed. This test is about other deaths.
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

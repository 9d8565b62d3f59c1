package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
)

// TestChecksChangeNothing: the dumps of both sides are the same before and after, no statement in either server's log
// writes but in the scratch database, and the counters of what is written stand still. Who may subscribe on the source
// tries whether it reaches the target, in one transaction that is rolled back: it takes one transaction id, and leaves
// nothing.
func TestChecksChangeNothing(t *testing.T) {
	logged := map[string]string{"log_statement": "all", "autovacuum": "off"}
	s := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: 13, Settings: logged}),
		target: pgserver.StartT(t, pgserver.Options{Major: 18, Settings: logged}),
	}
	password := s.role(t, "mover", s.source, s.target)
	connect(t, s.target.URI("postgres")).run("alter role mover createdb; grant pg_create_subscription to mover")
	for _, who := range []string{"a superuser", "a plain role"} {
		t.Run(who, func(t *testing.T) {
			u := s.upgrade(t, small)
			env := []string{}
			if who == "a plain role" {
				u.source.run(`grant create on database ` + u.name + ` to mover;
					do $$ declare n text; begin
						for n in select format('alter table %s owner to mover', oid::regclass) from pg_class where relkind in ('r', 'v') and relnamespace = 'public'::regnamespace loop execute n; end loop;
					end $$; alter function touch() owner to mover; alter schema public owner to mover`)
				u.target.run("alter database " + u.name + " owner to mover")
				env = append(env, "PGLEAP_SOURCE="+s.source.URIFor("mover", password, u.name), "PGLEAP_TARGET="+s.target.URIFor("mover", password, u.name))
			}
			for _, verb := range [][]string{{"check"}, {"plan"}, {"plan", "--format", "markdown"}, {"check", "--json"}} {
				t.Run(strings.Join(verb, " "), func(t *testing.T) {
					u := &upgrade{t: t, servers: s, name: u.name, sourceURI: u.sourceURI, targetURI: u.targetURI, source: u.source, target: u.target}
					u.changesNothing(func() { u.start(env, verb...).wait().exits(exitOK) })
				})
			}
		})
	}
}

// written are numbers that move when a database is written to, each of its own server.
const (
	writtenOfSource = "txid_snapshot_xmax(txid_current_snapshot())"
	writtenOfTarget = "select pg_stat_force_next_flush(); select tup_inserted, tup_updated, tup_deleted from pg_stat_database where datname = current_database()"
)

func (u *upgrade) changesNothing(run func()) {
	t := u.t
	source, target := dump(t, u.sourceURI), dump(t, u.targetURI)
	before, rows := u.source.run("select "+writtenOfSource), u.target.run(writtenOfTarget)
	trials := 0
	logs := map[*pgserver.Server]string{}
	for _, s := range []*pgserver.Server{u.servers.source, u.servers.target} {
		logs[s] = serverLog(t, s)
	}
	run()
	for s, was := range logs {
		statements := loggedStatements(strings.TrimPrefix(serverLog(t, s), was))
		if len(statements) < 20 {
			t.Errorf("%d statements in the log of PostgreSQL %d: it does not tell", len(statements), s.Major)
		}
		scratch := false
		if s == u.servers.source {
			statements, trials = withoutTrial(statements)
		}
		for _, st := range statements {
			scratch = scratch || strings.HasPrefix(st.sql, "create database pgleap_trial_")
			if why := st.writes(); why != "" {
				t.Errorf("PostgreSQL %d, database %s: %s: %s", s.Major, st.database, why, st.sql)
			}
		}
		if scratch != (s == u.servers.target) {
			t.Errorf("PostgreSQL %d: a scratch database was made: %v", s.Major, scratch)
		}
	}
	u.source.is(before, "select "+writtenOfSource+" - "+strconv.Itoa(trials))
	if trials > 0 {
		u.source.is("aborted", "select txid_status("+before+")")
	}
	if now := u.target.run(writtenOfTarget); now != rows {
		t.Errorf("the target's database was written to: %s, then %s", rows, now)
	}
	if dump(t, u.sourceURI) != source || dump(t, u.targetURI) != target {
		t.Error("the dumps differ")
	}
	u.noScratch()
}

// withoutTrial leaves the beginning of the trial of the way back out; the rest of it is kept out of the log, because it
// holds a password. There is one at most.
func withoutTrial(statements []loggedStatement) (rest []loggedStatement, trials int) {
	begin := slices.IndexFunc(statements, func(s loggedStatement) bool { return s.sql == "begin read write" })
	if begin < 0 {
		return statements, 0
	}
	return slices.Delete(slices.Clone(statements), begin, begin+1), 1
}

func serverLog(t *testing.T, s *pgserver.Server) string {
	t.Helper()
	text, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// loggedStatement is a statement of pgleap or its pg_dump in a server's log.
type loggedStatement struct{ database, sql string }

var logLine = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d .*? \[\d+\] \S+?@(\S+) pgleap/\S+ LOG:  (?:statement|execute [^:]+): `)

func loggedStatements(log string) []loggedStatement {
	log = strings.ReplaceAll(log, "\n\t", "\n ") // the lines of one statement
	var out []loggedStatement
	for _, m := range logLine.FindAllStringSubmatchIndex(log, -1) {
		text := log[m[1]:]
		if end := regexp.MustCompile(`\n\d{4}-\d\d-\d\d `).FindStringIndex(text); end != nil {
			text = text[:end[0]]
		}
		for _, sql := range strings.Split(text, ";\n") {
			if sql = strings.TrimSpace(sql); sql != "" {
				out = append(out, loggedStatement{log[m[2]:m[3]], sql})
			}
		}
	}
	return out
}

var (
	reads  = regexp.MustCompile(`(?is)^(--[^\n]*\n\s*)*(select|with|show|begin|start transaction|commit|rollback|set|prepare|execute|declare|fetch|close|deallocate|lock table .* in access share mode)\b`)
	acts   = regexp.MustCompile(`(?i)\b(nextval|setval|lo_\w+|pg_create_\w+|pg_drop_\w+|pg_terminate_backend|pg_switch_wal|pg_reload_conf|\w+_advance)\s*\(`)
	writes = regexp.MustCompile(`(?is)\b(insert\s+into|update\s+\S+\s+set|delete\s+from|begin read write)\b`)
	ofOurs = regexp.MustCompile(`^(create|drop|comment on) database (if exists )?pgleap_trial_[0-9a-f]{8}\b`)
)

// writes says why a statement may change something that stays, outside of the scratch database.
func (s loggedStatement) writes() string {
	bare := regexp.MustCompile(`'(?:[^']|'')*'`).ReplaceAllString(s.sql, "''")
	switch {
	case strings.HasPrefix(s.database, "pgleap_trial_"), ofOurs.MatchString(s.sql):
		return ""
	case !reads.MatchString(s.sql):
		return "no statement that reads"
	case acts.MatchString(bare):
		return "calls what acts"
	case writes.MatchString(bare):
		return "writes"
	}
	return ""
}

func TestLoggedStatementsCanFail(t *testing.T) {
	for sql, harmless := range map[string]bool{
		"select 1": true, "set search_path = ''": true, "drop table t": false, "select nextval('s')": false, "begin read write": false,
		"with x as (insert into t values (1) returning 1) select * from x": false, "create database pgleap_trial_0a1b2c3d template template0": true,
		"create database other": false, "LOCK TABLE public.t IN ACCESS SHARE MODE": true, "lock table t": false, "select 'drop table t'": true,
		"grant select on t to public": false, "comment on database pgleap_trial_0a1b2c3d is 'x'": true, "alter system set x = 1": false,
	} {
		line := fmt.Sprintf("2026-01-01 00:00:00.000 UTC [1] postgres@db1 pgleap/check LOG:  statement: %s\n2026-01-01 00:00:00.000 UTC [1] LOG:  x\n", sql)
		got := loggedStatements(line)
		if len(got) != 1 || got[0].database != "db1" || (got[0].writes() == "") != harmless {
			t.Errorf("%s: %+v", sql, got)
		}
	}
}

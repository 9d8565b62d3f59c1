package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestFixtureReverseReady: a plain role that subscribes on the source needs a right from 16 on, and is let by nobody
// before; the target has to ask it for the password.
func TestFixtureReverseReady(t *testing.T) {
	for _, pair := range [][2]int{{15, 17}, {16, 18}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) {
			s := &servers{
				source: pgserver.StartT(t, pgserver.Options{Major: pair[0]}),
				target: pgserver.StartT(t, pgserver.Options{Major: pair[1], HBA: []string{"host trusting all 127.0.0.1/32 trust"}}),
			}
			u := s.upgrade(t, "create table t (id int primary key)")
			u.asMover(plan.Target)
			u.source.run("alter role upgrade replication; alter table t owner to upgrade; grant create on database " + u.name + " to upgrade")
			ready := func(args ...string) []plan.Finding { return u.check(-1, args...)["reverse-ready"] }
			expectFinding(t, ready(), plan.Warning, plan.Source, map[bool]string{true: "may not make a subscription on the source", false: "only one may make a subscription"}[pair[0] >= 16])
			if pair[0] < 16 {
				return
			}
			u.mend(ready())
			expectSilence(t, ready())
			connect(t, s.target.URI("postgres")).run("create database trusting")
			expectFinding(t, ready("--target-from-source", strings.TrimSuffix(u.targetURI, u.name)+"trusting"), plan.Warning, plan.Source, "does not ask the source for a password")
			expectFinding(t, ready("--target-from-source", "127.0.0.1:1"), plan.Warning, plan.Source, "the source cannot connect to the target")
			u.source.is("0", "select count(*) from pg_subscription")
		})
	}
}

// TestReverseReadyAtGate: a cutover says once more what is in the way of its way back.
func TestReverseReadyAtGate(t *testing.T) {
	u := startServers(t, 16, 17).upgrade(t, small)
	u.run(exitOK, "sync")
	u.run(exitOK, "cutover", "--confirm", u.name, "--target-from-source", "127.0.0.1:1").says("reverse-ready: the source cannot connect to the target")
}

// TestFixtureReverseValues: what the check says that an older server does not take, it really does not take, in the
// form in which the newer one sends it; and it is said only where a column can hold it.
func TestFixtureReverseValues(t *testing.T) {
	for _, c := range []struct {
		older, newer int
		column       string
		write        string
		silent       string // a column of which nothing is said
	}{
		{13, 14, "numeric", "'Infinity'::numeric", "numeric(10,2)"},
		{13, 18, "numrange", "numrange(1, 'Infinity')", "int4range"},
		{16, 17, "interval", "'infinity'::interval", "timestamptz"},
		{12, 13, "jsonpath", "'$.a.datetime()'::jsonpath", "jsonb"},
		{16, 17, "jsonpath", "'$.a.bigint()'::jsonpath", "jsonb"},
		{16, 17, "aclitem", "makeaclitem(10, 10, 'maintain', false)", "text"},
	} {
		t.Run(fmt.Sprintf("%s of %d", c.column, c.newer), func(t *testing.T) {
			u := startServers(t, c.older, c.newer).upgrade(t, "create table t (id int primary key, v "+c.column+")")
			expectFinding(t, u.clusterFindings("reverse-values", nil), plan.Info, plan.Source, "public.t.v")
			sent := u.target.run("select (" + c.write + ")::text")
			_, err := u.source.session.Exec(t.Context(), "insert into t values (1, "+plan.QuoteLiteral(sent)+")")
			if err == nil {
				t.Errorf("PostgreSQL %d takes %s", c.older, sent)
			} else if pg.Code(err) == "" {
				t.Error(err)
			}
			u.source.run("drop table t; create table t (id int primary key, v " + c.silent + ")")
			if found := u.clusterFindings("reverse-values", nil); len(found) > 0 {
				t.Errorf("said of %s: %+v", c.silent, found)
			}
		})
	}
	t.Run("char of 15", func(t *testing.T) {
		u := startServers(t, 14, 15).upgrade(t, `create table t (id int primary key, v "char")`)
		expectFinding(t, u.clusterFindings("reverse-values", nil), plan.Info, plan.Source, "public.t.v", "says nothing")
		sent := u.target.run(`select '\303'::"char"::text`)
		u.source.run("insert into t values (1, " + plan.QuoteLiteral(sent) + ")")
		u.source.is(`\`, "select v from t")
	})
	t.Run("encoding", func(t *testing.T) {
		s := startServers(t, 13, 18)
		u := s.upgrade(t, "")
		connect(t, s.source.URI("postgres")).run("create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
		found := u.clusterFindings("reverse-values", []string{"PGLEAP_SOURCE=" + s.source.URI("latin")})
		expectFinding(t, found, plan.Warning, plan.Source, "has no place in LATIN1")
	})
	t.Run("enums and partitions", func(t *testing.T) {
		u := startServers(t, 17, 18).upgrade(t, `create type mood as enum ('good'); create table t (id int primary key, v mood[]);
			create table r (id int primary key) partition by range (id); create table r1 partition of r for values from (1) to (9)`)
		found := u.clusterFindings("reverse-values", nil)
		expectFinding(t, found, plan.Info, plan.Source, "a label that is added", "public.t.v")
		expectFinding(t, found, plan.Info, plan.Source, "a partition that is made", "public.r")
		if slices.ContainsFunc(found, func(f plan.Finding) bool { return f.Severity != plan.Info }) {
			t.Errorf("too loud: %+v", found)
		}
	})
}

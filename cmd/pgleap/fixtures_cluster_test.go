package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// clusterFindings are those of one check.
func (u *upgrade) clusterFindings(check string, variables []string, args ...string) []plan.Finding {
	u.t.Helper()
	var document struct {
		Findings []plan.Finding `json:"findings"`
	}
	u.start(variables, append([]string{"check", "--json", "--trial-load", "none"}, args...)...).wait().into(&document)
	return slices.DeleteFunc(document.Findings, func(f plan.Finding) bool { return f.Check != check })
}

func expectFinding(t *testing.T, found []plan.Finding, severity plan.Severity, on plan.Side, words ...string) {
	t.Helper()
	if !slices.ContainsFunc(found, func(f plan.Finding) bool {
		return f.Severity == severity && f.On == on && contains(f.Problem+"\n"+f.SQL, words...)
	}) {
		t.Errorf("no %s on the %s says %q: %+v", severity, on, words, found)
	}
}

func expectSilence(t *testing.T, found []plan.Finding) {
	t.Helper()
	for _, f := range found {
		if f.Severity != plan.Info {
			t.Errorf("not silent: %+v", f)
		}
	}
}

// TestFixtureRecovery: a standby as either side is found out, and a primary is not.
func TestFixtureRecovery(t *testing.T) {
	s := startServers(t, 10, 12)
	u := s.upgrade(t, "create table t (id int primary key)")
	standby := func(of *pgserver.Server) string {
		t.Helper()
		if err := of.Halt(t.Context(), "fast"); err != nil {
			t.Fatal(err)
		}
		made, err := of.StartStandby(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := made.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if err := of.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		return made.URI(u.name)
	}
	ofSource, ofTarget := standby(s.source), standby(s.target)
	expectFinding(t, u.clusterFindings("recovery", []string{"PGLEAP_SOURCE=" + ofSource}), plan.Blocker, plan.Source, "is a standby")
	expectFinding(t, u.clusterFindings("recovery", []string{"PGLEAP_TARGET=" + ofTarget}), plan.Blocker, plan.Target, "is a standby")
	expectSilence(t, u.clusterFindings("recovery", nil))
}

// TestFixtureOtherDatabases has servers of its own: databases of other tests are other databases too.
func TestFixtureOtherDatabases(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, "create table t (id int primary key)")
	expectSilence(t, u.clusterFindings("other-databases", nil))
	connect(t, s.source.URI("postgres")).run("create database reports")
	expectFinding(t, u.clusterFindings("other-databases", nil), plan.Warning, plan.Source, "1 database besides "+u.name+": reports")
}

// TestFixtureTablespaces: the name has to be there on the target, not the place.
func TestFixtureTablespaces(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, "create table t (id int primary key)")
	makeTablespace := func(c *client, of *pgserver.Server) {
		folder := filepath.Join(filepath.Dir(of.DataDir), "fast")
		c.run("copy (select 1) to program 'mkdir " + folder + "; cat > /dev/null'") // as the server's user
		c.run("create tablespace fast location " + plan.QuoteLiteral(folder))
	}
	makeTablespace(u.source, s.source)
	expectSilence(t, u.clusterFindings("tablespaces", nil))
	u.source.run("create table hot (id int) tablespace fast; create index t_fast on t (id) tablespace fast")
	expectFinding(t, u.clusterFindings("tablespaces", nil), plan.Blocker, plan.Target, "fast of public.hot and 1 more", "create tablespace fast location")
	expectSilence(t, u.clusterFindings("tablespaces", nil, "--exclude-tables", "public.hot,public.t"))
	makeTablespace(u.target, s.target)
	expectSilence(t, u.clusterFindings("tablespaces", nil))
}

// TestFixtureCapacity gives a table a file with a hole: for sizes it is large, for the disk it is not.
func TestFixtureCapacity(t *testing.T) {
	s := &servers{
		source: pgserver.StartT(t, pgserver.Options{Major: 13}),
		target: pgserver.StartT(t, pgserver.Options{Major: 18, Settings: map[string]string{"max_wal_size": "128MB"}}),
	}
	u := s.upgrade(t, "create table large (id int primary key)")
	if found := u.clusterFindings("capacity", nil); len(found) > 0 {
		t.Errorf("an empty table is said to be large: %+v", found)
	}
	file := u.source.run("select pg_relation_filepath('large')")
	if err := os.Truncate(filepath.Join(s.source.DataDir, file), 20<<30); err != nil {
		t.Fatal(err)
	}
	found := u.clusterFindings("capacity", nil)
	expectFinding(t, found, plan.Info, plan.Target, "up to 20 GB", "public.large with 20 GB")
	expectFinding(t, found, plan.Warning, plan.Target, "max_wal_size is 128 MB", "320 checkpoints", "alter system set max_wal_size")
}

// TestFixtureEncodingCollation: bytes of any kind block, another order of text is a warning.
func TestFixtureEncodingCollation(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, "create table t (id int primary key)")
	expectSilence(t, u.clusterFindings("encoding-collation", nil))

	connect(t, s.source.URI("postgres")).run("create database bytes encoding 'SQL_ASCII' template template0")
	connect(t, s.source.URI("bytes")).run("create table t (id int primary key)")
	expectFinding(t, u.clusterFindings("encoding-collation", []string{"PGLEAP_SOURCE=" + s.source.URI("bytes")}), plan.Blocker, plan.Target, "SQL_ASCII", "encoding 'SQL_ASCII' template template0")

	for name, clause := range map[string]string{
		"libc C.utf8":     "locale_provider libc lc_collate 'C.utf8' lc_ctype 'C.utf8'",
		"icu de":          "locale_provider icu icu_locale 'de'",
		"builtin C.UTF-8": "locale_provider builtin builtin_locale 'C.UTF-8'",
	} {
		database := "other_" + name[:2]
		connect(t, s.target.URI("postgres")).run("create database " + database + " template template0 " + clause)
		found := u.clusterFindings("encoding-collation", []string{"PGLEAP_TARGET=" + s.target.URI(database)})
		expectFinding(t, found, plan.Warning, plan.Target, "orders text by libc C, the target's by "+name, "create database "+database, "locale_provider libc")
		// the statement makes the database that is meant
		for _, f := range found {
			connect(t, s.target.URI("postgres")).run("drop database " + database)
			connect(t, s.target.URI("postgres")).run(f.SQL)
			expectSilence(t, u.clusterFindings("encoding-collation", []string{"PGLEAP_TARGET=" + s.target.URI(database)}))
		}
	}
}

// TestUserMappingPasswords: none gets into a plan, and one that was added by hand is no drift at the switch.
func TestUserMappingPasswords(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, `create table t (id int primary key);
		create foreign data wrapper dummy; create server far foreign data wrapper dummy options (host 'reports.example');
		create user mapping for public server far options ("user" 'reader', password 'geheim')`)
	for _, format := range []string{"text", "markdown", "json"} {
		if o := u.run(exitOK, "plan", "--format", format).says("USER MAPPING"); strings.Contains(o.stdout+o.stderr, "geheim") {
			t.Errorf("the plan as %s holds a password of the application:\n%s", format, o)
		}
	}
	u.run(exitOK, "sync")
	const options = "select array_to_string(umoptions, ' ') from pg_user_mappings"
	u.target.is("user=reader", options)
	if journal := u.target.run("select string_agg(r::text, '') from pgleap.run r"); strings.Contains(journal, "geheim") {
		t.Errorf("the journal holds a password of the application:\n%s", journal)
	}
	u.target.run("alter user mapping for public server far options (add password 'geheim')")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.is("user=reader password=geheim", options)
}

// TestFixtureLongTransactions waits until the transaction is old enough to be told.
func TestFixtureLongTransactions(t *testing.T) {
	s := startServers(t, 10, 12)
	u := s.upgrade(t, "create table t (id int primary key)")
	elsewhere := connect(t, s.source.URI("postgres")) // of any database
	elsewhere.run("create table w (id int)")
	expectSilence(t, u.clusterFindings("long-transactions", nil))
	pid := elsewhere.run("begin; insert into w values (1); select pg_backend_pid()")
	var found []plan.Finding
	await(t, "the transaction of pid "+pid+" to be found", func() bool {
		found = u.clusterFindings("long-transactions", nil)
		return len(found) > 0
	})
	expectFinding(t, found, plan.Warning, plan.Source, "pid "+pid+" of postgres", "database postgres", "slot's creation waits", "select pg_terminate_backend("+pid+");")
	elsewhere.run("rollback")
	expectSilence(t, u.clusterFindings("long-transactions", nil))
}

// TestFixturePrivileges: two roles that may nothing are told everything they lack, and once it is pasted, nothing.
func TestFixturePrivileges(t *testing.T) {
	for _, pair := range [][2]int{{13, 15}, {14, 17}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) {
			s := startServers(t, pair[0], pair[1])
			u := s.upgrade(t, "create table t (id int primary key); create sequence q")
			const password = "not so secret"
			for _, c := range []*client{u.source, u.target} {
				c.run("create role mover login password '" + password + "'; create role shop_owner")
			}
			u.source.run("alter table t owner to shop_owner; alter sequence q owner to shop_owner")
			variables := []string{
				"PGLEAP_SOURCE=" + s.source.URIFor("mover", password, u.name), "PGLEAP_TARGET=" + s.target.URIFor("mover", password, u.name),
			}
			expectSilence(t, u.clusterFindings("privileges", nil))
			found := u.clusterFindings("privileges", variables)
			for _, lacks := range []string{"has no REPLICATION", "may not create in the database", "does not own public.t", "may not read sequence public.q"} {
				expectFinding(t, found, plan.Blocker, plan.Source, lacks)
			}
			expectFinding(t, found, plan.Blocker, plan.Target, map[bool]string{true: "may not make a subscription", false: "is not a superuser"}[pair[1] >= 16])
			for _, f := range found {
				c := map[plan.Side]*client{plan.Source: u.source, plan.Target: u.target}[f.On]
				for _, statement := range strings.Split(strings.TrimSuffix(f.SQL, ";"), "; ") {
					c.run(statement)
				}
			}
			expectSilence(t, u.clusterFindings("privileges", variables))
		})
	}
}

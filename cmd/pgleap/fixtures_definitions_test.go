package main

import (
	"slices"
	"strings"
	"testing"

	"pgleap/plan"
)

// findings runs pgleap check and returns what one check says.
func (u *upgrade) findings(check string, args ...string) []plan.Finding {
	u.t.Helper()
	var document struct {
		Findings []plan.Finding `json:"findings"`
	}
	u.start(nil, slices.Concat([]string{"check", "--json", "--trial-load", "none"}, args)...).wait().into(&document)
	return slices.DeleteFunc(document.Findings, func(f plan.Finding) bool { return f.Check != check })
}

// saysOf fails the test unless the findings hold one of that severity about what.
func saysOf(t *testing.T, found []plan.Finding, severity plan.Severity, what string) {
	t.Helper()
	if !slices.ContainsFunc(found, func(f plan.Finding) bool { return f.Severity == severity && strings.Contains(f.Problem, what) }) {
		t.Errorf("no %s about %q in %+v", severity, what, found)
	}
}

func silentOf(t *testing.T, found []plan.Finding) {
	t.Helper()
	for _, f := range found {
		if f.Severity != plan.Info {
			t.Errorf("not silent: %+v", f)
		}
	}
}

// plainTarget lets the upgrade connect to the target, a 16 or later, as a role without superuser.
func (u *upgrade) plainTarget() {
	role := "plain_" + u.name
	u.target.run("create role " + role + " login password 'plain'; grant create on database " + u.name + " to " + role + "; grant pg_create_subscription to " + role)
	u.targetURI = u.servers.target.URIFor("plain_"+u.name, "plain", u.name)
}

// TestFixtureExtensions: a role that is no superuser can make the trusted extensions only.
func TestFixtureExtensions(t *testing.T) {
	s := startServers(t, 13, 18)
	u := s.upgrade(t, "create extension file_fdw")
	u.plainTarget()
	saysOf(t, u.findings("extensions"), plan.Warning, "extension file_fdw can be made by a superuser only, and role plain_"+u.name+" is none")
	u.target.run("create extension file_fdw")
	silentOf(t, u.findings("extensions"))

	u = s.upgrade(t, "create extension citext")
	u.plainTarget()
	silentOf(t, u.findings("extensions"))
}

// TestFixtureEventTriggers: PostgreSQL lets superusers alone make them.
func TestFixtureEventTriggers(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, `create function seen() returns event_trigger language plpgsql as 'begin end';
		create event trigger seen on sql_drop when tag in ('DROP TABLE') execute procedure seen()`)
	silentOf(t, u.findings("event-triggers"))
	u.plainTarget()
	saysOf(t, u.findings("event-triggers"), plan.Warning, "event trigger seen can be made by a superuser only")
}

// TestFixtureSequences: a position that may not be read is not one of a sequence that was never called.
func TestFixtureSequences(t *testing.T) {
	for _, pair := range [][2]int{{10, 12}, {17, 18}} {
		u := startServers(t, pair[0], pair[1]).upgrade(t, "create sequence called; select nextval('called'); create sequence fresh; create role plain login password 'plain'; grant select on sequence fresh to plain")
		superuser := u.sourceURI
		u.sourceURI = u.servers.source.URIFor("plain", "plain", u.name)
		found := u.findings("sequences")
		saysOf(t, found, plan.Warning, "role plain may not read where sequence public.called stands")
		saysOf(t, found, plan.Info, "never called, and carried over as that: public.fresh")
		u.sourceURI = superuser
		silentOf(t, u.findings("sequences"))
	}
}

// TestFixtureSearchPathFunctions: what is blocked would have failed, and the mend that is proposed lets it pass.
func TestFixtureSearchPathFunctions(t *testing.T) {
	u := startServers(t, 13, 18).upgrade(t, `create table limits (most int primary key); insert into limits values (100);
		create function allowed(int) returns bool language plpgsql immutable as 'begin return $1 < (select max(most) from limits); end';
		create table t (id int primary key, n int constraint n_allowed check (allowed(n))); insert into t values (1, 1)`)
	found := u.findings("search-path-functions")
	saysOf(t, found, plan.Blocker, "public.allowed(integer) needs a search_path to find limits; it is used by check constraint n_allowed of public.t")
	u.source.run("begin; set local search_path = ''; do $$ begin insert into public.t values (2, 2); exception when undefined_table then null; end $$; commit")
	u.source.is("1", "select count(*) from t")

	for _, f := range found {
		u.source.run(f.SQL)
	}
	silentOf(t, u.findings("search-path-functions"))
	u.run(exitOK, "sync")
	u.target.is("1", "select count(*) from t")
}

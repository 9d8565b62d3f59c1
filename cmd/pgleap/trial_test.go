package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// loads are the findings of check schema-loads.
func (u *upgrade) loads(variables []string, args ...string) []plan.Finding {
	u.t.Helper()
	var d checkDocument
	u.start(variables, append([]string{"check", "--json"}, args...)...).wait().into(&d)
	return slices.DeleteFunc(d.Findings, func(f plan.Finding) bool { return f.Check != "schema-loads" })
}

func about(t *testing.T, found []plan.Finding, object string) plan.Finding {
	t.Helper()
	i := slices.IndexFunc(found, func(f plan.Finding) bool { return f.Object == object })
	if i < 0 {
		t.Fatalf("no finding about %q: %s", object, findingsText(found))
	}
	return found[i]
}

func findingsText(found []plan.Finding) string {
	text, _ := json.MarshalIndent(found, "", "  ")
	return string(text)
}

// noScratch fails the test while a scratch database is on the target.
func (u *upgrade) noScratch() {
	u.t.Helper()
	u.target.is("", "select datname from pg_database where datname ~ '^pgleap_trial_'")
}

// refusedBy18 are definitions of a 10 that an 18 refuses, with what depends on them.
const refusedBy18 = `create table plain (id int primary key, n int);
create table old_times (id int primary key, at abstime);
create view old_view as select id, at from old_times;
create view old_view_2 as select id from old_view;
create index old_index on old_times (id, at);
create table child (id int primary key, parent int references old_times);
comment on table old_times is 'gone';
create operator !!! (procedure = int8inc, leftarg = int8);
create view factorial as select (5::int8 !!!) as x;
create aggregate gather(anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');
create view gathered as select gather(n) from plain;
create view attributes as select adsrc from pg_attrdef;
create function unk() returns int language sql stable as 'select min(id) from plain';
create table defaulted (id int primary key, n int default 3);
create materialized view inlined as select unk() as u;
create table with_oids (id int primary key) with oids`

func TestTrialLoad(t *testing.T) {
	s := startServers(t, 10, 18)
	t.Run("first causes", func(t *testing.T) {
		u := s.upgrade(t, refusedBy18)
		before := u.snapshot()
		found := u.loads(nil)
		t.Log(findingsText(found))
		times := about(t, found, "table public.old_times")
		if !contains(times.Problem, `type "abstime" does not exist`, "CREATE TABLE public.old_times", "more that need it: ") || !strings.Contains(times.Fix, "timestamptz") {
			t.Errorf("of the table: %+v", times)
		}
		for _, c := range []struct{ object, message string }{
			{"operator public.!!!", "Postfix operators are not supported"},
			{"aggregate public.gather(anyelement)", "function array_append(anyarray, anyelement) does not exist"},
			{"view public.attributes", `column pg_attrdef.adsrc does not exist`},
			{"materialized view public.inlined", `relation "plain" does not exist`},
		} {
			if f := about(t, found, c.object); !strings.Contains(f.Problem, c.message) || f.Fix == "" || f.Severity != plan.Blocker {
				t.Errorf("%s: %+v", c.object, f)
			}
		}
		if len(found) != 5 {
			t.Errorf("%d findings; what only depends on another is none of its own", len(found))
		}
		u.noScratch()
		u.unchanged(before)
	})
	t.Run("all loads", func(t *testing.T) {
		u := s.upgrade(t, small)
		u.run(exitOK, "check").says("no blocker")
		for _, how := range []string{"auto", "full", "none"} {
			if found := u.loads(nil, "--trial-load", how); len(found) > 0 {
				t.Errorf("%s: %s", how, findingsText(found))
			}
		}
		u.run(exitUsage, "check", "--trial-load", "some").says("auto, full or none")
		u.noScratch()
	})
}

func TestTrialLoadOfRoles(t *testing.T) {
	s := startServers(t, 13, 18)
	s.role(t, "trial_missing", s.source)
	u := s.upgrade(t, small+`;
create table theirs (id serial primary key);
alter table theirs owner to trial_missing;
grant select on customers to trial_missing;
create policy mine on orders to trial_missing using (true);
alter default privileges for role trial_missing grant select on tables to public;
alter default privileges grant select on tables to trial_missing;
create function f() returns int language sql as 'select 1';
alter function f() owner to trial_missing`)
	if found := u.loads(nil); len(found) > 0 {
		t.Errorf("check roles tells of a missing role, and this one told too: %s", findingsText(found))
	}
	t.Run("a plain role", func(t *testing.T) {
		mover := s.role(t, "trial_mover", s.source, s.target)
		u := s.upgrade(t, `create table t (id int primary key);
create function c_function() returns int language c as '$libdir/plpgsql', 'plpgsql_call_handler';
create table needs_it (id int primary key, n int default c_function())`)
		u.source.run("alter table t owner to trial_mover; alter table needs_it owner to trial_mover; grant pg_read_all_settings to trial_mover")
		env := []string{"PGLEAP_TARGET=" + s.target.URIFor("trial_mover", mover, u.name)}
		if f := about(t, u.loads(env), "trial_mover"); f.Severity != plan.Warning || f.SQL != "alter role trial_mover createdb;" {
			t.Errorf("without CREATEDB: %+v", f)
		}
		u.target.run("alter role trial_mover createdb; grant create on database " + u.name + " to trial_mover; grant pg_create_subscription to trial_mover")
		f := about(t, u.loads(env), "function public.c_function()")
		if !contains(f.Problem, "permission denied for language c", "2 more that need it: table public.needs_it") || f.Severity != plan.Blocker {
			t.Errorf("a function in C: %+v", f)
		}
		u.noScratch()
	})
}

// role makes a role with a password on the given servers.
func (p *servers) role(t *testing.T, name string, on ...*pgserver.Server) string {
	t.Helper()
	for _, s := range on {
		connect(t, s.URI("postgres")).run(fmt.Sprintf("create role %s login replication password %s", name, plan.QuoteLiteral("pw-"+name)))
	}
	return "pw-" + name
}

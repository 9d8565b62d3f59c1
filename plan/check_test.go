package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pgver"
)

// healthy returns two servers about which no check has anything to say. Cases change them.
func healthy() (source, target Facts) {
	table := func(name string) Relation {
		return Relation{
			Name: Name{"public", name}, Kind: "r", Persistence: "p", Owner: "app", Identity: "d",
			IdentityUsable: true, IdentityIndex: name + "_pkey", PrimaryKey: name + "_pkey", IdentityCandidate: name + "_pkey", Rows: 500_000,
			Columns: []Column{{Name: "id", Type: "integer", NotNull: true}},
		}
	}
	settings := func() map[string]string {
		return map[string]string{
			"wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10", "max_worker_processes": "8",
			"max_logical_replication_workers": "4", "max_sync_workers_per_subscription": "2", "max_active_replication_origins": "10",
			"max_locks_per_transaction": "64", "max_connections": "100", "max_prepared_transactions": "0",
			"max_slot_wal_keep_size": "102400", "max_wal_size": "4096",
		}
	}
	super := Role{
		Name: "postgres", Superuser: true, Replication: true, CreateOnDatabase: true, CreateSubscription: true, BypassRLS: true, SeesSessions: true,
	}
	source = Facts{
		Side: Source, Version: 130023, SystemID: "1", Address: "old:5432", Database: "shop", Encoding: "UTF8", Role: super, Settings: settings(),
		Schemas: []string{"public"}, Relations: []Relation{table("a"), table("b"), table("c")},
		Extensions: []Extension{{"plpgsql", "1.0", "pg_catalog"}}, Roles: []string{"app", "postgres"}, RolesUsed: []string{"app"},
		PgDump: &PgDump{Command: "pg_dump", Major: 18, Version: "18.1"},
	}
	target = Facts{
		Side: Target, Version: 180001, SystemID: "2", Address: "new:5432", Database: "shop", Encoding: "UTF8", Role: super, Settings: settings(),
		Schemas: []string{"public"}, Available: map[string][]string{"plpgsql": {"1.0"}}, Roles: []string{"app", "postgres"},
		ReachesSource: &Reach{Tried: true, OK: true},
	}
	source.ReachesTarget = &Reach{Tried: true, OK: true}
	return source, target
}

// checkCase changes the healthy servers. An empty problem means that the check has to stay silent.
type checkCase struct {
	name     string
	change   func(s, t *Facts, o *Options)
	severity Severity
	problem  string // part of it
	sql      string // all of it, or part of the fix where it ends with …
}

func TestHealthyHasNoFindings(t *testing.T) {
	s, target := healthy()
	if found := Check(s, target, Options{}); len(found) > 0 {
		t.Errorf("findings on healthy servers: %+v", found)
	}
}

func TestChecks(t *testing.T) {
	all := map[string][]checkCase{}
	for _, cases := range []map[string][]checkCase{
		serverCases, privilegeCases, objectCases, roleCases, clusterCases, surroundingCases, definitionCases, extensionCases, inSwitchCases, trialCases, reverseCases,
	} {
		for id, c := range cases {
			all[id] = append(all[id], c...)
		}
	}
	for _, c := range Checks() {
		if strings.Contains(c.When, "P") && !slices.ContainsFunc(all[c.ID], func(cc checkCase) bool { return cc.problem != "" }) {
			t.Errorf("no case makes check %s speak", c.ID)
		}
		if c.Title == "" || c.Why == "" || c.Severity == "" || c.When == "" || c.Mend == "" {
			t.Errorf("check %s is not described", c.ID)
		}
	}
	for id, cases := range all {
		for _, c := range cases {
			t.Run(id+"/"+c.name, func(t *testing.T) { tryCheck(t, id, c) })
		}
	}
}

func tryCheck(t *testing.T, id string, c checkCase) {
	s, target := healthy()
	var o Options
	c.change(&s, &target, &o)
	var found []Finding
	for _, f := range Check(s, target, o) {
		if f.Check == id {
			found = append(found, f)
		}
	}
	if c.problem == "" {
		if len(found) > 0 {
			t.Errorf("said %+v; want nothing", found)
		}
		return
	}
	i := slices.IndexFunc(found, func(f Finding) bool { return strings.Contains(f.Problem, c.problem) })
	if i < 0 {
		t.Fatalf("findings %+v; want one with %q", found, c.problem)
	}
	f := found[i]
	if f.Severity != c.severity {
		t.Errorf("severity %s; want %s", f.Severity, c.severity)
	}
	if part, ok := strings.CutSuffix(c.sql, "…"); ok && !strings.Contains(f.Fix, part) {
		t.Errorf("fix %q; want %q in it", f.Fix, part)
	} else if !ok && f.SQL != c.sql {
		t.Errorf("SQL %q; want %q", f.SQL, c.sql)
	}
	if f.Fix == "" {
		t.Error("a finding without a way out")
	}
}

func TestManyFindingsAreCounted(t *testing.T) {
	s, target := healthy()
	for i := range 130 {
		r := s.Relations[0]
		r.Name.Name = fmt.Sprintf("no_key_%03d", i)
		r.IdentityUsable, r.IdentityIndex, r.PrimaryKey, r.IdentityCandidate = false, "", "", ""
		s.Relations = append(s.Relations, r)
	}
	s.Relations = append(s.Relations, Relation{Name: Name{"public", "cache"}, Kind: "r", Persistence: "u"})
	found := Check(s, target, Options{})
	if len(found) != maxFindings+3 { // the last is an info about the unlogged table
		t.Fatalf("%d findings", len(found))
	}
	if more := found[maxFindings]; more.Problem != "and 80 more of the same kind" || more.Severity != Blocker || more.Check != "replica-identity" {
		t.Errorf("the count is %+v", more)
	}
	if last := found[maxFindings+1]; last.Check != "unlogged-tables" {
		t.Errorf("warnings come after blockers, but the last is %+v", last)
	}
}

// own makes both servers look as they do when a run of ours is resumed.
func own(s, t *Facts) {
	s.Leftovers = append(s.Leftovers, Leftover{Kind: "slot", Name: "pgleap_shop", Run: "shop", Own: true, Drop: "x"})
	t.Leftovers = append(t.Leftovers, Leftover{Kind: "schema", Name: "pgleap", Run: "shop", Own: true, Drop: "x"})
}

func version(major int) pgver.Version { return pgver.Version(major*10_000 + 1) }

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgleap/plan"
)

// TestPlan: what was read and saved is what is carried out, or nothing is.
func TestPlan(t *testing.T) {
	s := startServers(t, 11, 16)
	t.Run("reading changes nothing", func(t *testing.T) {
		t.Parallel()
		u := s.upgrade(t, small+";\n"+everyFinding)
		before, source, target := u.snapshot(), dump(t, u.sourceURI), dump(t, u.targetURI)

		var check checkDocument
		u.run(exitBlocked, "check", "--json").into(&check)
		if check.Exit != exitBlocked || check.Checks < 20 || !plan.Blocked(check.Findings) || check.Source.Database != u.name || check.Target.Version.Major() != 16 {
			t.Errorf("check --json: exit %d, %d checks, %d findings, of %s and %s", check.Exit, check.Checks, len(check.Findings), check.Source.Database, check.Target.Version)
		}
		text := u.run(exitBlocked, "check").stdout
		for _, f := range check.Findings {
			if f.Check == "" || f.Problem == "" || f.Severity == "" || f.On == "" || (f.Fix == "" && f.SQL == "") {
				t.Errorf("a finding says too little: %+v", f)
			}
			if first, _, _ := strings.Cut(f.Problem, "\n"); !strings.Contains(text, f.Check) || !strings.Contains(text, first) {
				t.Errorf("%s is in the JSON and not in the text:\n%s", first, text)
			}
		}
		var p plan.Plan
		u.run(exitBlocked, "plan", "--json").into(&p)
		if p.Run != plan.RunID(u.name) || len(p.Stages) == 0 || len(p.Findings) != len(check.Findings) {
			t.Errorf("plan --json: run %s, %d stages, %d findings", p.Run, len(p.Stages), len(p.Findings))
		}
		result := find(t, u.run(exitBlocked, "sync", "--json").events(), plan.EventResult)
		if found, _ := result.Data["findings"].([]any); len(found) != len(check.Findings) {
			t.Errorf("sync --json tells %d findings instead of %d", len(found), len(check.Findings))
		}
		u.run(exitBlocked, "plan").says("create publication pgleap_"+u.name, "{{source_conninfo}}", "lock table only public.orders", plan.FenceTrigger)
		u.run(exitBlocked, "plan", "--format", "markdown").says("# ", "```sql", "create publication pgleap_"+u.name)
		u.run(exitOK, "status").says("the target has no journal of this run", "pgleap sync")

		u.unchanged(before)
		if dump(t, u.sourceURI) != source || dump(t, u.targetURI) != target {
			t.Error("check, plan or status changed a server")
		}
	})
	t.Run("saved, drifted, carried out", func(t *testing.T) {
		t.Parallel()
		u := s.upgrade(t, small)
		before := u.snapshot()
		file := filepath.Join(t.TempDir(), "plan.json")
		u.run(exitOK, "plan", "--out", file)
		for _, secret := range s.secrets() {
			if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), secret) {
				t.Errorf("the saved plan holds a password, or is not there: %v", err)
			}
		}

		u.source.run("alter table orders add column colour text")
		u.run(exitDrift, "sync", "--plan", file).says("no longer match the saved plan", "public.orders.colour was added on the source", "fix: make a new plan with pgleap plan --out")
		u.source.run("alter table orders drop column colour; create index late on orders (note)")
		u.run(exitDrift, "sync", "--plan", file).says("no longer match the saved plan", "late")
		u.source.run("drop index late")
		u.unchanged(before)
		u.run(exitUsage, "sync", "--plan", file, "--run", "another").says("use --run " + u.name)
		u.unchanged(before)

		// Rows, statistics and the order of reading are no drift.
		u.source.run("insert into customers (name) values ('late'); analyze")
		u.run(exitOK, "sync", "--plan", file).says("✓ finish")
		u.target.is("21", "select count(*) from customers")
		u.run(exitOK, "sync", "--plan", file)
		u.run(exitOK, "sync")

		other := filepath.Join(t.TempDir(), "other.json")
		u.run(exitOK, "plan", "--out", other, "--sequence-margin", "100")
		u.run(exitDrift, "sync", "--plan", other).says("begun with another plan", "leave --plan out", "pgleap abort")

		u.source.run("alter table orders add column colour text")
		u.run(exitDrift, "sync").says("the source has changed since the run was begun", "public.orders.colour was added on the source", "pgleap abort, then pgleap sync")
		u.run(exitDrift, "cutover", "--confirm", u.name).says("public.orders.colour", "is not on the target")
		u.run(exitOK, "abort")
		u.source.run("alter table orders drop column colour")
		u.unchanged(before)
	})
}

// everyFinding makes checks speak.
const everyFinding = `create table audit_log (what text);
create unlogged table cache (id int primary key);
select lo_create(0)`

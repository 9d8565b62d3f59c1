package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgleap/plan"
)

// TestPlanDiff: what four people read on Monday is compared with what stands there on Saturday.
func TestPlanDiff(t *testing.T) {
	s := startServers(t, 13, 17)
	u := s.upgrade(t, small)
	folder := t.TempDir()
	monday := filepath.Join(folder, "monday.json")
	u.run(exitOK, "plan", "--out", monday)
	before := u.snapshot()

	u.run(exitOK, "plan", "--diff", monday).says("nothing that matters has changed since " + monday + " of 20")
	u.source.run("insert into customers (name) select 'late' from generate_series(1, 500); analyze")
	u.run(exitOK, "plan", "--diff", monday).says("nothing that matters has changed")

	u.source.run(`create unlogged table cache (id int primary key, what text);
insert into orders (customer, note) select 1, repeat('x', 1500) from generate_series(1, 30000)`)
	friday := filepath.Join(folder, "friday.json")
	u.run(exitOK, "plan", "--diff", monday, "--jobs", "7", "--out", friday).says("changed since", "table public.cache was added on the source",
		"new warning unlogged", "--jobs was", "and is 7", "public.orders was", "would refuse the old plan")
	var d diffDocument
	u.run(exitOK, "plan", "--diff", monday, "--json").into(&d)
	if d.Since != monday || !d.Refused || len(d.Changes) < 3 || d.Changes[0].Kind != plan.ChangedPlan {
		t.Errorf("plan --diff --json: %+v", d)
	}
	d = diffDocument{}
	u.run(exitOK, "plan", "--diff", friday, "--jobs", "7", "--json").into(&d)
	if d.Refused || d.Changes == nil || len(d.Changes) > 0 {
		t.Errorf("against the plan that was just saved: %+v", d)
	}
	u.source.run("drop table cache; create table audit_log (what text)")
	u.run(exitOK, "plan", "--diff", monday).says("new blocker replica-identity", "public.audit_log") // a difference is no failure
	u.run(exitUsage, "sync", "--plan", filepath.Join(folder, "missing.json")).says("missing.json")

	for file, c := range map[string]struct {
		text string
		says string
	}{
		"empty.json":  {"", "decode plan"},
		"other.json":  {`{"findings": [], "checks": 3}`, "this is no plan of pgleap"},
		"format.json": {`{"format": 99, "tool": "pgleap 9.0"}`, "it has format 99 and was made by pgleap 9.0"},
	} {
		path := filepath.Join(folder, file)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		u.run(exitUsage, "plan", "--diff", path).says(c.says, file)
	}
	u.run(exitUsage, "plan", "--diff", filepath.Join(folder, "gone.json")).says("gone.json", "pgleap plan --out")
	u.run(exitUsage, "plan", "--diff", monday, "--run", "another").says("is a plan of run "+u.name, "use --run "+u.name)
	u.run(exitUsage, "plan", "--diff", monday, "--format", "markdown").says("--diff has no Markdown form")

	u.source.run("drop table audit_log")
	u.unchanged(before)
	for _, secret := range s.secrets() {
		if text, err := os.ReadFile(friday); err != nil || strings.Contains(string(text), secret) {
			t.Errorf("the saved plan holds a password, or is not there: %v", err)
		}
	}
}

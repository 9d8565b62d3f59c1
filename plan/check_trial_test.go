package plan

import (
	"strings"
	"testing"
)

// tried gives the target a trial load that showed nothing.
func tried(t *Facts) *TrialFacts {
	t.Trial = &TrialFacts{Objects: 40, Loaded: 40}
	return t.Trial
}

var refusedView = TrialFailure{
	Object: "view public.defaults", Statement: "CREATE VIEW public.defaults AS SELECT adsrc FROM pg_attrdef", Code: "42703",
	Message: `column "adsrc" does not exist`, Hint: "the new version no longer has it", Needs: 5, NeededBy: []string{"view public.a", "view public.b", "view public.c"},
}

var trialCases = map[string][]checkCase{
	"schema-loads": {
		{"not asked for", func(_, _ *Facts, _ *Options) {}, "", "", ""},
		{"all loads", func(_, t *Facts, _ *Options) { tried(t) }, "", "", ""},
		{
			"refused", func(_, t *Facts, _ *Options) { tried(t).Failures = []TrialFailure{refusedView} }, Blocker,
			"view public.defaults: PostgreSQL 18 refuses it: column \"adsrc\" does not exist\nsync would stop there; and 5 more that need it: view public.a, view public.b, view public.c, …\nthe statement: CREATE VIEW", "no longer has it…",
		},
		{"refused without a known mend", func(_, t *Facts, _ *Options) {
			tried(t).Failures = []TrialFailure{{Object: "table public.t", Statement: strings.Repeat("x", 1000), Message: "no", Needs: 1, NeededBy: []string{"view public.v"}}}
		}, Blocker, "1 more needs it: view public.v", "--exclude-tables…"},
		{"a role is missing", func(_, t *Facts, _ *Options) {
			tried(t).Failures = []TrialFailure{{Object: "privileges public.t", Message: `role "gone" does not exist`, Role: "gone"}}
		}, "", "", ""},
		{"no member of an owner", func(_, t *Facts, _ *Options) {
			t.Role = Role{Name: "mover", CreateOnDatabase: true, CreateSubscription: true}
			tried(t).Failures = []TrialFailure{{Object: "table public.a", Message: `must be able to SET ROLE "app"`, Role: "app"}}
		}, "", "", ""},
		{"no member of another role", func(_, t *Facts, _ *Options) {
			t.Roles = append(t.Roles, "lib")
			tried(t).Failures = []TrialFailure{{Object: "function public.f()", Message: `must be able to SET ROLE "lib"`, Role: "lib"}}
		}, Blocker, "function public.f()", "--exclude-tables…"},
		{"an extension that is there", func(_, t *Facts, _ *Options) {
			t.Extensions = append(t.Extensions, Extension{Name: "postgis"})
			tried(t).Failures = []TrialFailure{{Object: "extension postgis", Message: "permission denied to create extension", Extension: "postgis"}}
		}, "", "", ""},
		{"missing afterwards", func(_, t *Facts, _ *Options) {
			tried(t).Differences = []TrialDifference{{Object: "index public.i", Source: "CREATE INDEX"}}
		}, Blocker, "index public.i does not arrive on the target", "check again…"},
		{"more afterwards", func(_, t *Facts, _ *Options) {
			tried(t).Differences = []TrialDifference{{Object: "index public.i", Target: "CREATE INDEX"}}
		}, Blocker, "and not on the source", "check again…"},
		{"not the same", func(_, t *Facts, _ *Options) {
			tried(t).Differences = []TrialDifference{{Object: "column public.t.c", Source: "a", Target: "b"}}
		}, Blocker, "source: a\ntarget: b", "check again…"},
		{"schema public", func(_, t *Facts, _ *Options) {
			tried(t).Differences = []TrialDifference{{Object: "schema public", Source: "owner a", Target: "owner b"}}
		}, Warning, "schema public is not the same", "check again…"},
		{"a sample", func(_, t *Facts, _ *Options) { tried(t).Objects = 60_000 }, Info, "40 of 60000 objects were loaded for trial", "--trial-load full loads…"},
		{"no CREATEDB", func(_, t *Facts, _ *Options) {
			t.Role.Name, t.Trial = "mover", &TrialFacts{NotTried: NotTriedCreateDB}
		}, Warning, "role mover may not create a database", "alter role mover createdb;"},
		{"blocked", func(_, t *Facts, _ *Options) { t.Trial = &TrialFacts{NotTried: NotTriedBlocked} }, "", "", ""},
		{"no definitions", func(_, t *Facts, _ *Options) { t.Trial = &TrialFacts{NotTried: NotTriedDump, Error: "lock timeout"} }, Blocker, "cannot be read: lock timeout", "pg_dump…"},
		{"no scratch database", func(_, t *Facts, _ *Options) { t.Trial = &TrialFacts{NotTried: NotTriedFailed, Error: "disk full"} }, Warning, "disk full", "--trial-load none…"},
		{"resumed", func(s, t *Facts, _ *Options) { own(s, t); tried(t).Failures = []TrialFailure{refusedView} }, "", "", ""},
	},
	"leftovers": {
		{"a scratch database", func(_, t *Facts, _ *Options) {
			t.Leftovers = append(t.Leftovers, Leftover{Kind: "database", Name: "pgleap_trial_0a1b2c3d", Run: "shop", Drop: "drop database pgleap_trial_0a1b2c3d;"})
		}, Warning, "database pgleap_trial_0a1b2c3d is left of a pgleap check or plan that was killed", "drop database pgleap_trial_0a1b2c3d;"},
	},
}

// TestStatementIsCut: a definition of a thousand columns does not fill the page.
func TestStatementIsCut(t *testing.T) {
	s, target := healthy()
	tried(&target).Failures = []TrialFailure{{Object: "table public.t", Statement: strings.Repeat("ä", 1000), Message: "no"}}
	for _, f := range Check(s, target, Options{}) {
		if n := len([]rune(f.Problem)); n > 500 {
			t.Errorf("%d characters: %s", n, f.Problem)
		}
	}
}

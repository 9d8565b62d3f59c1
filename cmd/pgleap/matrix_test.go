package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgleap/internal/rehearsal"
)

// pairs are the version pairs that every landing rehearses, each with every scenario.
var pairs = [][2]int{{10, 18}, {11, 15}, {12, 16}, {13, 17}, {14, 18}, {15, 16}, {16, 18}, {17, 18}}

// rehearse runs a rehearsal with this test binary as the tool.
func rehearse(t testing.TB, c rehearsal.Config) rehearsal.Verdict {
	t.Helper()
	v, err := tryRehearsal(t, c)
	if err != nil {
		t.Fatalf("the rehearsal broke: %v", err)
	}
	return v
}

func tryRehearsal(t testing.TB, c rehearsal.Config) (rehearsal.Verdict, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Tool, c.ToolEnv = []string{self}, append(c.ToolEnv, asCommand+"=1")
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	return rehearsal.Run(ctx, c)
}

// mustPass fails with the whole verdict, which names what was lost.
func mustPass(t testing.TB, v rehearsal.Verdict) {
	t.Helper()
	if v.Passed() {
		return
	}
	var b strings.Builder
	if err := v.WriteText(&b); err != nil {
		t.Error(err)
	}
	t.Fatal(b.String())
}

// shortLoad is enough to write before, in and behind the switch, on a machine that runs other tests too.
func shortLoad(from, to int, scenario string) rehearsal.Config {
	return rehearsal.Config{
		From: from, To: to, Scenario: scenario, Rate: 60, Clients: 8, Duration: 4 * time.Second, Seed: 1,
		Budget: rehearsal.Budget{WriteStall: 3 * time.Second},
	}
}

func TestRehearsalOfEveryPair(t *testing.T) {
	for _, scenario := range []string{"shop", "pgbench", "odd-names"} {
		for _, p := range pairs {
			if testing.Short() && p != [2]int{17, 18} {
				continue
			}
			t.Run(fmt.Sprintf("%s_%d_%d", scenario, p[0], p[1]), func(t *testing.T) {
				t.Parallel()
				mustPass(t, rehearse(t, shortLoad(p[0], p[1], scenario)))
			})
		}
	}
}

// Without superuser on either side: the roles have what docs/privileges.md and check told them to have, and nothing
// more. odd-names has owners and lodgers whose names need quotes.
func TestRehearsalWithoutSuperuser(t *testing.T) {
	for _, c := range []struct {
		from, to int
		scenario string
		role     rehearsal.Role
	}{
		{14, 17, "shop", rehearsal.RoleDocumented},
		{14, 17, "shop", rehearsal.RoleService},
		{14, 17, "odd-names", rehearsal.RoleBare},
		{16, 18, "shop", rehearsal.RoleBare},
		{16, 18, "shop", rehearsal.RoleService},
		{16, 18, "odd-names", rehearsal.RoleDocumented},
		{11, 15, "shop", rehearsal.RoleDocumented}, // on the source alone
	} {
		t.Run(fmt.Sprintf("%s_%s_%d_%d", c.role, c.scenario, c.from, c.to), func(t *testing.T) {
			t.Parallel()
			load := shortLoad(c.from, c.to, c.scenario)
			load.Role = c.role
			mustPass(t, rehearse(t, load))
		})
	}
}

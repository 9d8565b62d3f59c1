package plan

import (
	"strings"
	"testing"
)

// TestDirectClients: who goes past the poolers is told so, and what to do about it is something else.
func TestDirectClients(t *testing.T) {
	g := GateFacts{Clients: []Clients{{User: "cron", Application: "psql", Sessions: 2}}}
	for _, c := range []struct {
		pooled    bool
		says, fix string
	}{
		{false, "2 sessions of cron (psql) from a local socket on the old server\nafter the switch", "point them at the new server"},
		{true, "2 sessions of cron (psql) from a local socket on the old server, past the poolers\n", "--pgbouncer"},
	} {
		g.Pooled = c.pooled
		found := CheckGate(g)
		if len(found) != 1 || found[0].Check != "direct-clients" || found[0].Severity != Warning || !strings.Contains(found[0].Problem, c.says) || !strings.Contains(found[0].Fix, c.fix) {
			t.Errorf("pooled %v: %+v", c.pooled, found)
		}
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
)

// TestFixturePooler: a pooler that cannot be held, or not be moved, blocks at the gate, before anybody waits.
func TestFixturePooler(t *testing.T) {
	s := startServers(t, 13, 18)
	p := pooledUpgrade(t, s, 2)
	n := p.nodes[1]
	direct := fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s", s.source.Port, p.name)
	refused := func(t *testing.T, args []string, words ...string) {
		t.Helper()
		p.switchOver(nil, p.cutoverArgs(args)...).wait().exits(exitNotReady).says(append(words, "pooler: ", "writes were never stopped")...)
		if paused, _ := p.entries(); paused > 0 {
			p.console(n, `resume "shop"`)
		}
		p.source.is("f", "select exists (select from pg_trigger where tgname ~ 'pgleap')")
	}
	t.Run("paused", func(t *testing.T) {
		p.console(n, `pause "shop"`)
		refused(t, p.byFile(), "is paused: its clients wait already", "pgleap repair")
	})
	t.Run("points at the target", func(t *testing.T) {
		other := startPooler(t, map[string]string{"shop": fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s", s.target.Port, p.name)}, nil)
		q := &pooled{upgrade: p.upgrade, nodes: []*pgserver.PgBouncer{other}}
		q.switchOver(nil, q.cutoverArgs(q.byFile())...).wait().exits(exitNotReady).says("pooler: ", "at the server that is to take over")
	})
	t.Run("points at nothing of ours", func(t *testing.T) {
		other := startPooler(t, map[string]string{"blog": fmt.Sprintf("host=127.0.0.1 port=%d dbname=blog", s.source.Port)}, nil)
		q := &pooled{upgrade: p.upgrade, nodes: []*pgserver.PgBouncer{other}}
		q.switchOver(nil, q.cutoverArgs(q.byFile())...).wait().exits(exitNotReady).says("pooler: ", "none of PgBouncer's databases points at", "--pgbouncer-database")
	})
	t.Run("session mode", func(t *testing.T) {
		other := startPooler(t, map[string]string{"shop": direct}, map[string]string{"pool_mode": "session"})
		q := &pooled{upgrade: p.upgrade, nodes: []*pgserver.PgBouncer{other}}
		q.switchOver(nil, q.cutoverArgs(q.byFile())...).wait().exits(exitNotReady).says("pooler: ", "is in session mode", "pool_mode = transaction")
	})
	t.Run("clients would be failed", func(t *testing.T) {
		other := startPooler(t, map[string]string{"shop": direct}, map[string]string{"query_wait_timeout": "1"})
		q := &pooled{upgrade: p.upgrade, nodes: []*pgserver.PgBouncer{other}}
		q.switchOver(nil, q.cutoverArgs(q.byFile())...).wait().exits(exitNotReady).says("pooler: ", "fails a client that has waited for 1 s", "query_wait_timeout")
	})
	t.Run("out of reach", func(t *testing.T) {
		other := startPooler(t, map[string]string{"shop": direct}, nil)
		q := &pooled{upgrade: p.upgrade, nodes: []*pgserver.PgBouncer{p.nodes[0], other}}
		if err := other.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		q.switchOver(nil, q.cutoverArgs(p.byHook(""))...).wait().exits(exitNotReady).says("pooler: ", fmt.Sprintf("PgBouncer 127.0.0.1:%d cannot be used", other.Port()), "nothing listens there")
	})
	t.Run("a file without the entry", func(t *testing.T) {
		refused(t, []string{"--pgbouncer-config", p.nodes[0].ConfigFile(), "--pgbouncer-config", "/dev/null"}, `has no entry "shop"`)
	})
	t.Run("a copy of its file that says something else", func(t *testing.T) {
		text, err := os.ReadFile(n.ConfigFile())
		if err != nil {
			t.Fatal(err)
		}
		edited := filepath.Join(t.TempDir(), "copy.ini")
		if err := os.WriteFile(edited, []byte(strings.ReplaceAll(string(text), p.base, "host=10.9.8.7 dbname="+p.name)), 0o600); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "same.ini")
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p.switchOver(nil, p.cutoverArgs([]string{"--pgbouncer-config", p.nodes[0].ConfigFile(), "--pgbouncer-config", copied})...).wait().exits(exitNotReady).
			says(fmt.Sprintf("pooler: PgBouncer 127.0.0.1:%d says that it reads %s", n.Port(), n.ConfigFile()), "does not take what is written to "+copied, "--pgbouncer-config", "no write was stopped")
		refused(t, []string{"--pgbouncer-config", p.nodes[0].ConfigFile(), "--pgbouncer-config", edited},
			fmt.Sprintf("points at 127.0.0.1:%d/%s, and its file says something else: %s: 10.9.8.7:5432/%[2]s", s.source.Port, p.name, edited), "--pgbouncer-config")
	})
	t.Run("another entry that is not moved", func(t *testing.T) {
		q := pooledUpgrade(t, s, 0)
		other := startPooler(t, map[string]string{"shop": q.base, "audit": q.base}, nil)
		q.nodes = append(q.nodes, other)
		audit := connect(t, other.URI("audit", "web", webPassword))
		audit.run("select 1") // which leaves PgBouncer's connection there
		o := q.switchOver(nil, q.cutoverArgs(q.byFile(), "--pgbouncer-database", "shop", "--rehearse")...).wait().exits(exitOK).
			says("pooler: ", fmt.Sprintf("PgBouncer 127.0.0.1:%d has other entries that point at the server that is left, and are not moved: audit", other.Port()), "--pgbouncer-database")
		if contains(o.stdout, "of web (") {
			t.Errorf("PgBouncer's own connection is called direct:\n%s", o)
		}
	})
	t.Run("silent", func(t *testing.T) {
		if o := p.switchOver(nil, p.cutoverArgs(p.byFile())...).wait().exits(exitOK); contains(o.stdout, "pooler: ") {
			t.Errorf("speaks where it must be silent:\n%s", o)
		}
	})
}

func startPooler(t *testing.T, databases, settings map[string]string) *pgserver.PgBouncer {
	t.Helper()
	return pgserver.StartPgBouncerT(t, pgserver.PgBouncerOptions{Databases: databases, Users: map[string]string{"web": webPassword}, Settings: settings})
}

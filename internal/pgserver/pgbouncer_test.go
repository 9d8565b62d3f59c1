package pgserver

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgleap/internal/pg"
)

func TestPgBouncerStandsInFrontOfAServer(t *testing.T) {
	s := StartT(t, Options{Major: 17})
	query(t, s.URI("postgres"), `create role "o'x""y" login password 'p"w'''`)
	for _, dir := range []string{"", filepath.Join(openFolder(t), "made", "here")} {
		p := StartPgBouncerT(t, PgBouncerOptions{
			Dir: dir,
			Databases: map[string]string{
				"shop":    fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres", s.Port),
				"sh-op.2": fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres", s.Port),
			},
			Users:    map[string]string{s.Superuser: s.Password, `o'x"y`: `p"w'`},
			Settings: map[string]string{"default_pool_size": "3"},
		})
		if got := query(t, p.URI("shop", s.Superuser, s.Password), "select current_setting('port')"); got != fmt.Sprint(s.Port) {
			t.Errorf("the query came to port %q, want %d", got, s.Port)
		}
		if got := query(t, p.URI("sh-op.2", `o'x"y`, `p"w'`), "select current_user"); got != `o'x"y` {
			t.Errorf("user %q", got)
		}
		if _, err := psql(t, p.URI("shop", s.Superuser, "wrong"), "select 1"); err == nil {
			t.Error("a wrong password was let in")
		}
		if mode := config(t, p)["pool_mode"]; mode != "transaction" {
			t.Errorf("pool_mode %q", mode)
		}
		if size := config(t, p)["default_pool_size"]; size != "3" {
			t.Errorf("default_pool_size %q", size)
		}
		if log, err := p.Log(); err != nil || !strings.Contains(log, "process up") {
			t.Errorf("log %q: %v", log, err)
		}
		stopPgBouncer(t, p, dir)
	}
}

func config(t *testing.T, p *PgBouncer) map[string]string {
	t.Helper()
	address, err := pg.ParseAddress(p.AdminURI())
	if err != nil {
		t.Fatal(err)
	}
	console, err := pg.OpenConsole(t.Context(), address, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	answers, err := console.Send(t.Context(), "show config")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, row := range answers[0].Rows {
		settings[row["key"]] = row["value"]
	}
	return settings
}

// stopPgBouncer also sees that only a folder of its own making goes.
func stopPgBouncer(t *testing.T, p *PgBouncer, dir string) {
	t.Helper()
	folder, pid, port := filepath.Dir(p.ConfigFile()), p.PID(), p.Port()
	for range 2 {
		if err := p.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if syscall.Kill(pid, 0) == nil || listens(port) {
		t.Errorf("process %d runs on", pid)
	}
	if exists(folder) != (dir != "") {
		t.Errorf("folder %s: exists %v", folder, exists(folder))
	}
}

func TestPgBouncerThatCannotStartSaysWhy(t *testing.T) {
	_, err := StartPgBouncer(t.Context(), PgBouncerOptions{Settings: map[string]string{"pool_mode": "sometimes"}})
	if err == nil || !strings.Contains(err.Error(), "sometimes") {
		t.Errorf("error %v, want one with PgBouncer's own words", err)
	}
}

func TestMissingPgBouncerSaysHowToGetIt(t *testing.T) {
	if text := ErrNoPgBouncer.Error(); !strings.Contains(text, "apt-get install pgbouncer") || !strings.Contains(text, "brew install pgbouncer") {
		t.Errorf("error %q", text)
	}
}

package pooler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgleap/internal/pgserver"
)

// TestTry: what is tried is taken, shows for the moment alone, and disturbs no client.
func TestTry(t *testing.T) {
	s := startShop(t)
	p := pgserver.StartPgBouncerT(t, pgserver.PgBouncerOptions{
		Databases: map[string]string{
			"shop":   fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres", s.Port),
			"quoted": "host='127.0.0.1' port = '5433'   dbname='it''s = host=b'",
			"socket": "",
		},
		Users: map[string]string{s.Superuser: s.Password},
	})
	must(t, appendText(p.ConfigFile(), "[databases] inline = host=127.0.0.4\r\nlast = host=127.0.0.5"))
	n := openNode(t, p)
	must(t, n.Reload(t.Context()))
	client := s.client(t, p, "shop", "before")
	server := func() (pid int) {
		must(t, client.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid))
		return pid
	}
	f, err := OpenFile(p.ConfigFile(), "r1")
	must(t, err)
	before, pid := content(t, f), server()
	entries, err := n.Databases(t.Context())
	must(t, err)
	for _, name := range []string{"shop", "quoted", "socket", "inline", "last"} {
		for _, want := range []Values{{"10.0.0.9", "6001", "it's new"}, {"", "", ""}} {
			if err := n.Try(t.Context(), f, name, want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if now := content(t, f); now != before {
				t.Fatalf("%s: the file is left as\n%s", name, now)
			}
		}
	}
	if now, err := n.Databases(t.Context()); err != nil || !slices.Equal(now, entries) {
		t.Errorf("entries are left as %+v, %v", now, err)
	}
	if server() != pid {
		t.Error("a trial costs clients their connection")
	}
}

// TestTryTellsWhatPgBouncerDoesNotTake: before anybody waits, and nothing is left of it.
func TestTryTellsWhatPgBouncerDoesNotTake(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	want := Values{Host: "127.0.0.1", Port: "6001", DBName: "shop"}
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	refused := func(path, says string) {
		t.Helper()
		f, err := OpenFile(path, "r1")
		must(t, err)
		before := content(t, f)
		if err := n.Try(t.Context(), f, "shop", want); err == nil || !strings.Contains(err.Error(), says+path) {
			t.Errorf("%s: %v", path, err)
		}
		if content(t, f) != before {
			t.Errorf("%s is changed", path)
		}
	}
	t.Run("a copy of its file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "copy.ini")
		must(t, os.WriteFile(path, text, 0o600))
		refused(path, "does not take what is written to ")
	})
	t.Run("a copy of its file that says something else", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "copy.ini")
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "host=127.0.0.1", "host=10.9.8.7")), 0o600))
		refused(path, "and its file says something else: ")
	})
	t.Run("a mistake that it does not get past", func(t *testing.T) {
		must(t, os.WriteFile(p.ConfigFile(), []byte(strings.Replace(string(text), "[pgbouncer]\n", "[databases]\nbad = nothing\n[pgbouncer]\n", 1)), 0o600))
		f, err := OpenFile(p.ConfigFile(), "r1")
		must(t, err)
		if err := n.Try(t.Context(), f, "shop", want); err == nil || !strings.Contains(err.Error(), "does not read "+p.ConfigFile()+" to its end") {
			t.Error(err)
		}
		must(t, os.WriteFile(p.ConfigFile(), text, 0o600))
	})
	t.Run("a mistake behind which it reads nothing", func(t *testing.T) {
		must(t, os.WriteFile(p.ConfigFile(), []byte(strings.Replace(string(text), "[databases]\n", "[databases]\nbad = nothing\n", 1)), 0o600))
		refused(p.ConfigFile(), "does not take what is written to ")
		must(t, os.WriteFile(p.ConfigFile(), text, 0o600))
	})
}

// TestTrialThatWasKilledIsTakenOut by whatever is written next.
func TestTrialThatWasKilledIsTakenOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	const text = "[databases]\nshop = host=a dbname=shop\n[pgbouncer]\nlisten_port = 6432\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := OpenFile(path, "r1")
	must(t, err)
	want := Values{Host: "b", DBName: "shop"}
	s, err := f.stageTrial("pgleap_trial_r0_abc", "shop", want)
	must(t, err)
	must(t, s.Install())
	if now := content(t, f); !strings.Contains(now, "\npgleap_trial_r0_abc = host=b dbname=shop\n") {
		t.Fatalf("the trial: %s", now)
	}
	must(t, f.Point("shop", want))
	if now := content(t, f); now != strings.Replace(text, "host=a", "host=b", 1) {
		t.Errorf("pointed: %s", now)
	}
	s, err = f.stageTrial("pgleap_trial_r0_abc", "shop", want)
	must(t, err)
	must(t, s.Install())
	must(t, f.PutBack("shop"))
	if now := content(t, f); now != text {
		t.Errorf("put back: %s", now)
	}
}

// TestResumeToHoldsWhereItIsNotPointed: clients are not let go on for long where they should not be.
func TestResumeToHoldsWhereItIsNotPointed(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	e, err := n.Entry(t.Context(), "shop")
	must(t, err)
	elsewhere := e.Values()
	elsewhere.Host = ""
	client := s.client(t, p, "shop", "held")
	must(t, <-query(t, client))
	must(t, n.Pause(within(t, patience), "shop"))
	err = n.ResumeTo(t.Context(), "shop", elsewhere)
	if err == nil || !strings.Contains(err.Error(), "still points at 127.0.0.1:") {
		t.Errorf("error %v", err)
	}
	if !isPaused(t, n, "shop") {
		t.Error("its clients are not held")
	}
	must(t, n.ResumeTo(t.Context(), "shop", e.Values()))
	if isPaused(t, n, "shop") {
		t.Error("its clients are held")
	}
}

func content(t *testing.T, f *File) string {
	t.Helper()
	text, err := f.read()
	must(t, err)
	return text
}

// TestHoldWaitsForNobody: a transaction that runs keeps a PAUSE from being answered, and is no reason to let the others go
// on.
func TestHoldWaitsForNobody(t *testing.T) {
	s := startShop(t)
	p := s.bouncer(t, nil)
	n := openNode(t, p)
	open := s.client(t, p, "shop", "open")
	_, err := open.Exec(t.Context(), "begin")
	must(t, err)
	must(t, <-query(t, open))
	start := time.Now()
	must(t, n.Hold(t.Context(), "shop"))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	if !isPaused(t, n, "shop") {
		t.Error("its clients are not held")
	}
	_, err = open.Exec(t.Context(), "commit")
	must(t, err)
	if !isPaused(t, n, "shop") {
		t.Error("its clients are held no longer")
	}
	must(t, n.Resume(t.Context(), "shop"))
}

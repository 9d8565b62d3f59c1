package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const newest = 18

func TestEveryMajorStartsAndRestarts(t *testing.T) {
	for major := 10; major <= newest; major++ {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := StartT(t, Options{Major: major})
			if !strings.HasPrefix(s.Version, strconv.Itoa(major)+".") {
				t.Errorf("version %q", s.Version)
			}
			if got := query(t, s.URI("postgres"), "show server_version"); got != s.Version {
				t.Errorf("server says version %q, programs %q", got, s.Version)
			}
			if file := strings.TrimSpace(read(t, filepath.Join(s.DataDir, "PG_VERSION"))); file != strconv.Itoa(major) {
				t.Errorf("PG_VERSION %q", file)
			}
			query(t, s.URI("postgres"), "create table kept (n int); insert into kept values (7)")

			for _, mode := range []string{"fast", "immediate"} {
				port, uri := s.Port, s.URI("postgres")
				if err := s.Restart(t.Context(), mode); err != nil {
					t.Fatal(err)
				}
				if s.Port != port {
					t.Errorf("port %d became %d", port, s.Port)
				}
				if got := query(t, uri, "select n from kept"); got != "7" {
					t.Errorf("after a restart %s: %q", mode, got)
				}
			}
		})
	}
}

func TestDefaultsAndSettings(t *testing.T) {
	s := StartT(t, Options{
		Major:     13,
		Superuser: "boss",
		Password:  `p:@/'\ w`,
		Settings:  map[string]string{"max_connections": "33", "cluster_name": `it's \a`},
		HBA:       []string{"host all refused 127.0.0.1/32 reject"},
		InitArgs:  []string{"--data-checksums"},
	})
	for sql, want := range map[string]string{
		"show wal_level":       "logical",
		"show fsync":           "off",
		"show max_connections": "33",
		"show data_checksums":  "on",
		"show server_encoding": "UTF8",
		"select current_user":  "boss",
		"show cluster_name":    `it's \a`,
	} {
		if got := query(t, s.URI("postgres"), sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	query(t, s.URI("postgres"), "create role writer login password 'w'; create role refused login password 'r'")
	if got := query(t, s.URIFor("writer", "w", "postgres"), "select current_user"); got != "writer" {
		t.Errorf("current_user %q", got)
	}
	if _, err := psql(t, s.URIFor("writer", "wrong", "postgres"), "select 1"); err == nil {
		t.Error("a wrong password was let in")
	}
	if _, err := psql(t, s.URIFor("refused", "r", "postgres"), "select 1"); err == nil || !strings.Contains(err.Error(), "rejects connection") {
		t.Errorf("a line of HBA is not before the default ones: %v", err)
	}
	log, err := s.Log()
	if err != nil || !strings.Contains(log, "password authentication failed") {
		t.Errorf("the log does not tell of the wrong password: %v\n%s", err, log)
	}
}

func TestTwoServersDiffer(t *testing.T) {
	a, b := StartT(t, Options{Major: newest}), StartT(t, Options{Major: newest})
	const sql = "select system_identifier from pg_control_system()"
	if query(t, a.URI("postgres"), sql) == query(t, b.URI("postgres"), sql) {
		t.Error("two servers have one system identifier")
	}
	if a.Port == b.Port || a.Password == b.Password || a.DataDir == b.DataDir {
		t.Errorf("two servers share a port, a password or a data directory: %+v, %+v", a, b)
	}
}

func TestHaltAndResume(t *testing.T) {
	s := StartT(t, Options{Major: newest})
	if err := s.Resume(t.Context()); err == nil {
		t.Error("a running server was resumed")
	}
	if err := s.Halt(t.Context(), "hasty"); err == nil || !strings.Contains(err.Error(), `"hasty"`) {
		t.Errorf("unknown mode: %v", err)
	}
	for range 2 {
		if err := s.Halt(t.Context(), "fast"); err != nil {
			t.Fatal(err)
		}
	}
	if listens(s.Port) {
		t.Error("a halted server listens")
	}
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	query(t, s.URI("postgres"), "select 1")
}

func TestCrashedServerIsResumed(t *testing.T) {
	s := StartT(t, Options{Major: newest})
	if err := s.postmaster.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the postmaster to end", func() bool { return !s.postmaster.running() })
	// Its children notice its death one by one; until then they hold the data.
	eventually(t, "the server to resume", func() bool { return s.Resume(t.Context()) == nil })
	query(t, s.URI("postgres"), "select 1")
}

func TestStopRemovesEverything(t *testing.T) {
	s, err := Start(t.Context(), Options{Major: newest})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := s.Stop(ended); err != nil {
			t.Fatal(err)
		}
	}
	if exists(s.folder) || listens(s.Port) {
		t.Errorf("after Stop: folder there %t, port open %t", exists(s.folder), listens(s.Port))
	}
	if err := s.Resume(t.Context()); err == nil {
		t.Error("a removed server was resumed")
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	parent := openFolder(t)
	for name, o := range map[string]Options{
		"invalid value":              {Settings: map[string]string{"shared_buffers": "much"}},
		"unrecognized configuration": {Settings: map[string]string{"no_such_setting": "1"}},
		"initdb":                     {InitArgs: []string{"--no-such-option"}},
		"the port is taken":          {Port: taken(t)},
	} {
		o.Major, o.DataParent = newest, parent
		_, err := Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error does not say %q: %v", name, err)
		}
		if left, _ := filepath.Glob(filepath.Join(parent, "*")); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

func TestAnotherPortIsTriedWhenOneIsTaken(t *testing.T) {
	s := StartT(t, Options{Major: newest})
	if err := s.Halt(t.Context(), "fast"); err != nil {
		t.Fatal(err)
	}
	s.Port = taken(t)
	if err := s.Resume(t.Context()); !errors.Is(err, errPortTaken) {
		t.Fatalf("a taken port is not recognised: %v", err)
	}
	if err := s.startOnFreePort(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// ---- helpers

// query runs SQL through psql: only package pg opens connections in Go.
func query(tb testing.TB, uri, sql string) string {
	tb.Helper()
	out, err := psql(tb, uri, sql)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func psql(tb testing.TB, uri, sql string) (string, error) {
	tb.Helper()
	folders := ClientFolders()
	if len(folders) == 0 {
		tb.Fatal("no client programs: run `make servers`")
	}
	u, err := url.Parse(uri)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(folders[0], "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", u.String(), "-c", sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql %q: %w: %s", sql, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// eventually waits for a condition, up to a deadline that only a fault reaches.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(pollInterval)
	}
}

func listens(port int) bool {
	c, err := net.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// taken is a port that stays taken until the test ends.
func taken(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// openFolder is a temporary folder that the server's user can enter, which
// the test's own are not.
func openFolder(tb testing.TB) string {
	tb.Helper()
	folder, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

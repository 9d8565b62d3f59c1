package schema

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
	"pgleap/testdata"
)

// servers are shared by the tests of this package: one of each major that a test asks for.
var servers = struct {
	sync.Mutex
	running   map[int]*pgserver.Server
	databases int
}{running: map[int]*pgserver.Server{}}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range servers.running {
		if err := s.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// database makes an empty database on the server of a major, with a name that needs quoting.
func database(t *testing.T, major int) pg.Address {
	t.Helper()
	servers.Lock()
	defer servers.Unlock()
	s := servers.running[major]
	if s == nil {
		var err error
		if s, err = pgserver.Start(t.Context(), pgserver.Options{Major: major}); err != nil {
			t.Fatal(err)
		}
		servers.running[major] = s
	}
	servers.databases++
	name := fmt.Sprintf("schema test %d", servers.databases)
	admin := openSource(t, address(t, s.URI("postgres")))
	if _, err := admin.Exec(t.Context(), "create database "+plan.QuoteIdent(name)); err != nil {
		t.Fatal(err)
	}
	return address(t, s.URI(name))
}

func address(t *testing.T, uri string) pg.Address {
	t.Helper()
	a, err := pg.ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func openSource(t *testing.T, a pg.Address) *pg.Source {
	t.Helper()
	s, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// openTarget opens a session that is ready to load definitions.
func openTarget(t *testing.T, a pg.Address) *pg.Target {
	t.Helper()
	s, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	execute(t, s.Session, SessionSettings())
	return s
}

func execute(t *testing.T, s *pg.Session, sql string) {
	t.Helper()
	if _, err := s.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s\n%s", pg.Message(err), plan.Caret(sql, pg.Position(err)))
	}
}

var forMajor = regexp.MustCompile(`\.(v|below)(\d+)\.sql$`)

// loadScenario runs a scenario's files on a source, as testdata/scenarios/README.md says; its roles on the target too.
func loadScenario(t *testing.T, name string, source, target *pg.Session) {
	t.Helper()
	files, err := fs.Glob(testdata.Scenarios(), name+"/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario %s: %v", name, err)
	}
	execute(t, source, "set search_path = public")
	for _, f := range files {
		if m := forMajor.FindStringSubmatch(f); m != nil {
			n, _ := strconv.Atoi(m[2])
			if (source.Version().Major() >= n) != (m[1] == "v") {
				continue
			}
		}
		sql, err := fs.ReadFile(testdata.Scenarios(), f)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, source, string(sql))
		if regexp.MustCompile(`/00-roles\.`).MatchString(f) {
			execute(t, target, string(sql))
		}
	}
	execute(t, source, "set search_path = pg_catalog")
}

// pgDump is the one that a run would use for the newest server.
func pgDump(t *testing.T) Program {
	t.Helper()
	p, err := Find(t.Context(), "", 18)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// loadSteps runs steps, each in a transaction of its own, as the walker does.
func loadSteps(t *testing.T, target *pg.Target, stage plan.StageID, steps []plan.Step) {
	t.Helper()
	for _, step := range steps {
		if err := target.InTransaction(t.Context(), func() error { return Load(t.Context(), target, stage, step) }); err != nil {
			t.Fatal(err)
		}
	}
}

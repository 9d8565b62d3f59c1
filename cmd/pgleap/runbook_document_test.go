package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/testdata"
)

var updateDocs = flag.Bool("update", false, "write the generated documents anew (make docs, make runbook)")

// TestRunbookDocument makes the runbook of shop, 13 to 18, and holds the example in docs current. What differs from
// run to run is replaced by what a reader expects of an example; of sizes and durations only the places count.
func TestRunbookDocument(t *testing.T) {
	u := startServers(t, 13, 18).upgradeNamed(t, "shop")
	loadShop(t, u)
	text := u.run(exitOK, "plan", "--format", "markdown").stdout
	text = asExample(t, u, text)
	file := filepath.Join("..", "..", "docs", "runbook-shop-13-18.md")
	if *updateDocs {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutNumbers(string(kept)), withoutNumbers(text)); diff != "" {
		t.Errorf("%s is not current; `make runbook` writes it anew (-kept +made):\n%s", file, diff)
	}
}

// upgradeNamed makes a database of that name on both servers.
func (p *servers) upgradeNamed(t *testing.T, name string) *upgrade {
	t.Helper()
	for _, uri := range []string{p.source.URI("postgres"), p.target.URI("postgres")} {
		connect(t, uri).run("create database " + plan.QuoteIdent(name))
	}
	u := &upgrade{t: t, servers: p, name: name, sourceURI: p.source.URI(name), targetURI: p.target.URI(name)}
	u.source, u.target = connect(t, u.sourceURI), connect(t, u.targetURI)
	return u
}

var shopFile = regexp.MustCompile(`^\d+-[a-z0-9-]+(?:\.(v|below)(\d+))?\.sql$`)

// loadShop runs the scenario's files, as testdata/scenarios/README.md says.
func loadShop(t *testing.T, u *upgrade) {
	t.Helper()
	files, err := fs.ReadDir(testdata.Scenarios(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	u.source.run("set search_path = public")
	for _, f := range files {
		m := shopFile.FindStringSubmatch(f.Name())
		if bound, err := strconv.Atoi(m[2]); err == nil && (u.servers.source.Major >= bound) != (m[1] == "v") {
			continue
		}
		sql, err := fs.ReadFile(testdata.Scenarios(), "shop/"+f.Name())
		if err != nil {
			t.Fatal(err)
		}
		u.source.run(string(sql))
		if f.Name() == "00-roles.sql" {
			u.target.run(string(sql))
		}
	}
	u.source.run("vacuum (analyze)")
}

var written = regexp.MustCompile(`Written \d{4}-\d\d-\d\d \d\d:\d\d UTC`)

// machinesMemory is what an index build may use on the machine that the test runs on.
var machinesMemory = regexp.MustCompile(`set maintenance_work_mem = '\d+MB';\nset max_parallel_maintenance_workers = \d+;`)

// asExample replaces what differs from run to run.
func asExample(t *testing.T, u *upgrade, text string) string {
	t.Helper()
	for _, s := range []struct {
		uri, host string
		client    *client
		id        string
	}{{u.sourceURI, "old.example", u.source, "7300000000000000013"}, {u.targetURI, "new.example", u.target, "7300000000000000018"}} {
		a, err := pg.ParseAddress(s.uri)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndex(a.HostPort(), ":")
		host, port := a.HostPort()[:i], a.HostPort()[i+1:]
		text = strings.NewReplacer(a.HostPort(), s.host+":5432", "host="+host+" port="+port, "host="+s.host+" port=5432",
			s.client.run("select system_identifier::text from pg_control_system()"), s.id).Replace(text)
	}
	text = machinesMemory.ReplaceAllString(text, "set maintenance_work_mem = '1024MB';\nset max_parallel_maintenance_workers = 1;")
	return written.ReplaceAllString(text, "Written 2026-01-01 00:00 UTC")
}

var amounts = regexp.MustCompile(`\b\d+(\.\d+)?( ?/ ?\d+(\.\d+)?)? (B|kB|MB|GB|ms|s|min|h|rows)(/s)?\b`)

// An estimate goes to the end of its line: how many tables were measured differs from time to time.
var estimated = regexp.MustCompile(`\babout [0-9<].*`)

// withoutNumbers leaves of every estimate, size and duration only that there is one.
func withoutNumbers(text string) string {
	return amounts.ReplaceAllString(estimated.ReplaceAllString(text, "about #"), "#")
}

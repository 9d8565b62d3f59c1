package schema

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgleap/plan"
)

// fake makes a program that answers --version.
func fake(t *testing.T, name, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+answer+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindNamed(t *testing.T) {
	odd := fake(t, "pg dump", "pg_dump (PostgreSQL) 17.10 (Debian 17.10-1)")
	p, err := Find(t.Context(), "'"+odd+"' --jobs=1", 17)
	if err != nil {
		t.Fatal(err)
	}
	if p.Major != 17 || p.Version != "17.10" || !slices.Equal(p.Command, []string{odd, "--jobs=1"}) {
		t.Errorf("got %+v", p)
	}
	t.Setenv(CommandVariable, fake(t, "pg_dump", "pg_dump (PostgreSQL) 19beta1"))
	if p, err := Find(t.Context(), "", 18); err != nil || p.Major != 19 || p.Version != "19beta1" {
		t.Errorf("by the environment: %+v, %v", p, err)
	}
}

func TestFindTakesTheNewest(t *testing.T) {
	newest := fake(t, "pg_dump", "pg_dump (PostgreSQL) 98.12")
	t.Setenv("PATH", filepath.Dir(newest)+":"+os.Getenv("PATH"))
	p, err := Find(t.Context(), "", 10)
	if err != nil || p.Version != "98.12" {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestFindErrors(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		atLeast int
		want    []string
	}{
		"too old":     {fake(t, "pg_dump", "pg_dump (PostgreSQL) 15.18"), 18, []string{"no pg_dump of PostgreSQL 18 or newer", "(15.18)", "apt-get install postgresql-client-18", "docker run --rm -i --network host postgres:18 pg_dump"}},
		"not there":   {"/no/such/pg_dump", 18, []string{`start "/no/such/pg_dump"`, "no such file", "brew install"}},
		"not pg_dump": {"echo", 10, []string{"not pg_dump", "--pg-dump"}},
		"fails":       {"sh -c 'echo no engine >&2; exit 3'", 10, []string{"exit status 3", "no engine"}},
		"open quote":  {"'pg_dump", 10, []string{"a quote is not closed"}},
		"blank":       {"  ", 10, []string{"it is empty"}},
		"none so new": {"", 97, []string{"no pg_dump of PostgreSQL 97 or newer", "found: ", "postgresql-client-97"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Find(t.Context(), c.command, c.atLeast)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in\n%v", w, err)
				}
			}
		})
	}
}

func TestNewer(t *testing.T) {
	order := []string{"", "9.6.24", "10.23", "18beta1", "18.4", "18.10", "19.0"}
	for i := range order {
		for j := range order {
			if got := newer(order[i], order[j]); got != (i > j) {
				t.Errorf("newer(%q, %q) = %v", order[i], order[j], got)
			}
		}
	}
}

// TestContainer: the engine's client hands on no variable by itself, and no value may stand in the arguments.
func TestContainer(t *testing.T) {
	env := []string{"HOME=/root", "PGHOST=h", "PGPASSWORD=geheim", "PGHOST=other"}
	got := command([]string{"/usr/bin/docker", "run", "--rm", "postgres:18", "pg_dump"}, env)
	want := []string{"/usr/bin/docker", "run", "-e", "PGHOST", "-e", "PGPASSWORD", "--rm", "postgres:18", "pg_dump"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := command([]string{"pg_dump"}, env); !slices.Equal(got, []string{"pg_dump"}) {
		t.Errorf("got %q", got)
	}
}

// oddNames are what a pattern could take for its own language; beside each stands a name that a careless
// pattern would take too.
var oddNames = [][2]string{
	{`a"b`, `a""b`},
	{"new\nline", "new line"},
	{"$1", "1"},
	{"$", "x$"},
	{"a*b", "aXb"},
	{"a?c", "aXc"},
	{"x.y", "xzy"},
	{`back\slash`, "backslash"},
	{"Upper", "upper"},
	{"p|q", "p"},
	{"[ab]", "a"},
	{"(g)", "g"},
	{"{2}", "22"},
	{"+", "++"},
	{"^", "^^"},
	{"ü%_", "ü%x"},
	{"pgleap", "pgleap2"},
	{"", ""},
}

// TestDumpLeavesOut: exclusions fit exactly the names they are of.
func TestDumpLeavesOut(t *testing.T) {
	for _, major := range []int{10, 18} {
		at := database(t, major)
		source := openSource(t, at)
		var sel plan.Selection
		want := map[string]bool{}
		for _, pair := range oddNames {
			for i, name := range pair {
				if name == "" {
					continue
				}
				table := plan.Name{Schema: "public", Name: name}
				execute(t, source.Session, "create table "+table.String()+" ()")
				execute(t, source.Session, "create schema "+plan.QuoteIdent(name))
				execute(t, source.Session, "create table "+plan.Name{Schema: name, Name: "t"}.String()+" ()")
				if i == 0 {
					sel.Excluded = append(sel.Excluded, table)
					sel.Schemas = append(sel.Schemas, name)
				} else {
					want["public."+name], want[name+".t"], want["schema "+name] = true, true, true
				}
			}
		}
		d, err := Dump(t.Context(), pgDump(t), at, sel)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Entries {
			name := e.Schema + "." + e.Name
			switch {
			case e.Type == "SCHEMA" && e.Name != "public":
				name = "schema " + e.Name
			case e.Type != "TABLE":
				continue
			}
			if !want[name] {
				t.Errorf("%d: %s was not left out", major, name)
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%d: %s was left out too", major, name)
		}
	}
}

// TestDumpFails: pg_dump's own words come through, without the password.
func TestDumpFails(t *testing.T) {
	at := database(t, 18).WithDatabase("no such database")
	_, err := Dump(t.Context(), pgDump(t), at, plan.Selection{})
	if err == nil || !strings.Contains(err.Error(), `database "no such database" does not exist`) || !strings.Contains(err.Error(), "(18.") {
		t.Errorf("got %v", err)
	}
}

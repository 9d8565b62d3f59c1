// Package internal_test holds the rules of the house that no compiler holds: which package may import which,
// and what only one package may do.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "pgleap"

// layers, lowest first. Imports point down only; packages of one layer never import each other.
var layers = [][]string{
	{"internal/pgver", "testdata", "docs"}, // testdata, docs: scenarios and documents, embedded
	{"plan", "internal/pg"},
	{"internal/catalog", "internal/journal", "internal/pgserver", "internal/pooler", "internal/hooks"},
	{"schema", "sync", "cutover", "sequences", "internal/traffic", "internal/verify"},
	{"internal/pipeline", "internal/rehearsal", "internal/ui"},
	{"cmd"},
}

// owners names the only package that may import a library; nobody may import one without an owner.
var owners = map[string]string{
	"github.com/jackc/pglogrepl":          "internal/pg",
	"github.com/schollz/progressbar":      "internal/ui",
	"github.com/urfave/cli":               "cmd",
	"github.com/jackc/pgx/v5/pgxpool":     "", // a SET, a lock or a snapshot belongs to one session
	"database/sql":                        "",
	"github.com/testcontainers":           "internal/pgserver",
	"github.com/prometheus/client_golang": "cmd",
}

// pure packages judge; they read and write nothing.
var pure = []string{"internal/pgver", "plan"}

// impure are the standard packages that reach outside the process.
var impure = []string{"os", "net", "syscall", "log", "database/sql", "io/ioutil", "runtime/debug", "testing", "embed"}

// listed is what go list tells of a package.
type listed struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Ignored    []string `json:"IgnoredGoFiles"`
	Imports    []string
	Deps       []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func TestLayers(t *testing.T) {
	pkgs := slices.DeleteFunc(listPackages(t), func(p listed) bool { return len(p.GoFiles)+len(p.Ignored) == 0 }) // tests alone
	report(t, importProblems(pkgs))
	for _, p := range pkgs {
		if isOurs(p.ImportPath) {
			report(t, sourceProblems(t, p))
		}
	}
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,GoFiles,IgnoredGoFiles,Imports,Deps", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

func importProblems(pkgs []listed) []string {
	standard := map[string]bool{}
	for _, p := range pkgs {
		standard[p.ImportPath] = p.Standard
	}
	var problems []string
	for _, p := range pkgs {
		if !isOurs(p.ImportPath) {
			continue
		}
		if layerOf(p.name()) < 0 {
			problems = append(problems, fmt.Sprintf("%s has no layer: put it into the table of layers", p.name()))
			continue
		}
		for _, i := range p.Imports {
			problems = append(problems, importProblem(p.name(), i)...)
		}
		if slices.Contains(pure, p.name()) {
			problems = append(problems, purityProblems(p, standard)...)
		}
	}
	return problems
}

// importProblem judges one import of one of our packages.
func importProblem(from, path string) []string {
	if !isOurs(path) {
		for library, owner := range owners {
			if within(path, library) && (owner == "" || !within(from, owner)) {
				return []string{fmt.Sprintf("%s imports %s, which belongs to %s", from, path, ownerName(owner))}
			}
		}
		return nil
	}
	to := strings.TrimPrefix(path, module+"/")
	switch {
	case house(from) == house(to):
		return nil
	case layerOf(to) > layerOf(from):
		return []string{fmt.Sprintf("%s (layer %d) imports %s (layer %d): imports point down only", from, layerOf(from), to, layerOf(to))}
	case layerOf(to) == layerOf(from):
		return []string{fmt.Sprintf("%s imports %s: packages of one layer never import each other", from, to)}
	}
	return nil
}

// purityProblems looks at all that a pure package pulls in of others, and at what it imports itself of the
// standard library (whose packages import os among themselves).
func purityProblems(p listed, standard map[string]bool) []string {
	var problems []string
	for _, dep := range p.Deps {
		if !standard[dep] && !slices.Contains(pure, strings.TrimPrefix(dep, module+"/")) {
			problems = append(problems, fmt.Sprintf("%s is pure, but depends on %s", p.name(), dep))
		}
	}
	for _, i := range p.Imports {
		for _, bad := range impure {
			if within(i, bad) && i != "net/url" {
				problems = append(problems, fmt.Sprintf("%s is pure, but imports %s", p.name(), i))
			}
		}
	}
	return problems
}

// layerOf returns the layer of one of our packages, -1 where it has none.
func layerOf(name string) int {
	for i, layer := range layers {
		if slices.ContainsFunc(layer, func(h string) bool { return within(name, h) }) {
			return i
		}
	}
	return -1
}

// house is the entry of the table that name belongs to: a package and those below it are one house.
func house(name string) string {
	for _, layer := range layers {
		for _, h := range layer {
			if within(name, h) {
				return h
			}
		}
	}
	return name
}

func isOurs(path string) bool { return within(path, module) }

func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func ownerName(owner string) string {
	if owner == "" {
		return "nobody"
	}
	return owner
}

// TestLayersCanFail: a checker that finds nothing in a broken house proves nothing about ours.
func TestLayersCanFail(t *testing.T) {
	for name, c := range map[string]struct {
		p    listed
		want string
	}{
		"down":               {listed{ImportPath: "pgleap/schema", Imports: []string{"pgleap/plan", "os", "github.com/jackc/pgx/v5"}}, ""},
		"two layers down":    {listed{ImportPath: "pgleap/cmd/pgleap", Imports: []string{"pgleap/internal/pgver", "github.com/urfave/cli/v2"}}, ""},
		"a part of itself":   {listed{ImportPath: "pgleap/internal/pgserver/watch", Imports: []string{"pgleap/internal/pgserver"}}, ""},
		"up":                 {listed{ImportPath: "pgleap/internal/pg", Imports: []string{"pgleap/internal/catalog"}}, "imports point down only"},
		"sideways":           {listed{ImportPath: "pgleap/schema", Imports: []string{"pgleap/sync"}}, "never import each other"},
		"sideways at plan":   {listed{ImportPath: "pgleap/internal/pg", Imports: []string{"pgleap/plan"}}, "never import each other"},
		"no layer":           {listed{ImportPath: "pgleap/internal/util"}, "internal/util has no layer"},
		"like a known name":  {listed{ImportPath: "pgleap/planner"}, "planner has no layer"},
		"replication":        {listed{ImportPath: "pgleap/sync", Imports: []string{"github.com/jackc/pglogrepl"}}, "belongs to internal/pg"},
		"a bar":              {listed{ImportPath: "pgleap/cmd/pgleap", Imports: []string{"github.com/schollz/progressbar/v3"}}, "belongs to internal/ui"},
		"flags":              {listed{ImportPath: "pgleap/internal/ui", Imports: []string{"github.com/urfave/cli/v2"}}, "belongs to cmd"},
		"a pool":             {listed{ImportPath: "pgleap/internal/pg", Imports: []string{"github.com/jackc/pgx/v5/pgxpool"}}, "belongs to nobody"},
		"a driver in plan":   {listed{ImportPath: "pgleap/plan", Deps: []string{"fmt", "github.com/jackc/pgx/v5"}}, "plan is pure, but depends on github.com/jackc/pgx/v5"},
		"input in plan":      {listed{ImportPath: "pgleap/plan", Imports: []string{"os"}}, "plan is pure, but imports os"},
		"the network in it":  {listed{ImportPath: "pgleap/plan", Imports: []string{"net/http"}}, "plan is pure, but imports net/http"},
		"pgver below plan":   {listed{ImportPath: "pgleap/plan", Imports: []string{"pgleap/internal/pgver", "net/url"}, Deps: []string{"pgleap/internal/pgver", "fmt"}}, ""},
		"plan above pgver":   {listed{ImportPath: "pgleap/internal/pgver", Imports: []string{"pgleap/plan"}}, "imports point down only"},
		"rehearsal from cmd": {listed{ImportPath: "pgleap/internal/rehearsal", Imports: []string{"pgleap/cmd/pgleap"}}, "imports point down only"},
	} {
		t.Run(name, func(t *testing.T) {
			expectProblem(t, importProblems([]listed{c.p, {ImportPath: "fmt", Standard: true}}), c.want)
		})
	}
}

func expectProblem(t *testing.T, problems []string, want string) {
	t.Helper()
	all := strings.Join(problems, "\n")
	if want == "" && all != "" || want != "" && (len(problems) != 1 || !strings.Contains(all, want)) {
		t.Errorf("problems %q; want one with %q", problems, want)
	}
}

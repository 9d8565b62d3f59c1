package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"pgleap/internal/pgserver"
	"pgleap/plan"
)

const fixtureFolder = "../../testdata/checks"

// fixture makes one check speak, and be silent; testdata/checks/README.md tells the keys.
type fixture struct {
	file, check            string
	pairs                  [][2]int
	severity               plan.Severity
	on                     plan.Side // "" is either
	object                 string
	args                   []string
	own                    bool
	sourceConf, targetConf map[string]string
	parts                  map[string]string
}

func readFixture(t *testing.T, path string) fixture {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(text)
	f := fixture{file: filepath.Base(path), parts: map[string]string{}, sourceConf: map[string]string{}, targetConf: map[string]string{}}
	f.check, _, _ = strings.Cut(f.file, ".")
	for _, part := range archive.Files {
		f.parts[part.Name] = string(part.Data)
	}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		f.key(t, key, strings.TrimSpace(value))
	}
	if len(f.pairs) == 0 || f.severity == "" {
		t.Fatalf("%s lacks a pair or what to expect", f.file)
	}
	return f
}

func (f *fixture) key(t *testing.T, key, value string) {
	t.Helper()
	setting := func(into map[string]string) {
		name, to, ok := strings.Cut(value, "=")
		if !ok {
			t.Fatalf("%s: %q is no setting", f.file, value)
		}
		into[strings.TrimSpace(name)] = strings.TrimSpace(to)
	}
	switch key {
	case "pair":
		from, to, _ := strings.Cut(value, " ")
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %q is no pair", f.file, value)
		}
		f.pairs = append(f.pairs, [2]int{a, b})
	case "expect", "expect-target":
		severity, object, _ := strings.Cut(value, " ")
		f.severity, f.object = plan.Severity(severity), object
		if key == "expect-target" {
			f.on = plan.Target
		}
	case "args":
		f.args = strings.Fields(value)
	case "own":
		f.own = true
	case "source-conf":
		setting(f.sourceConf)
	case "target-conf":
		setting(f.targetConf)
	default:
		t.Fatalf("%s: there is no key %q", f.file, key)
	}
}

// fixtureServers are shared by the fixtures of a pair that do not need servers of their own.
type fixtureServers struct {
	t    *testing.T
	mu   sync.Mutex
	made map[[2]int]*servers
}

func (s *fixtureServers) of(pair [2]int) *servers {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[pair] == nil {
		s.made[pair] = startServers(s.t, pair[0], pair[1])
	}
	return s.made[pair]
}

// TestFixtures: every check speaks on a real server of an affected major, and is silent where it must be.
// PGLEAP_FIXTURE=name runs those of one check.
func TestFixtures(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(fixtureFolder, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	shared := &fixtureServers{t: t, made: map[[2]int]*servers{}}
	t.Run("checks", func(t *testing.T) {
		for _, path := range paths {
			f := readFixture(t, path)
			for _, pair := range f.pairs {
				t.Run(fmt.Sprintf("%s/%d-%d", strings.TrimSuffix(f.file, ".txtar"), pair[0], pair[1]), func(t *testing.T) {
					f.try(t, shared, pair)
				})
			}
		}
	})
}

func (f fixture) try(t *testing.T, shared *fixtureServers, pair [2]int) {
	fires, silent := shared.of, shared.of
	if f.own || len(f.sourceConf)+len(f.targetConf) > 0 {
		fires = func(pair [2]int) *servers {
			return &servers{
				source: pgserver.StartT(t, pgserver.Options{Major: pair[0], Settings: f.sourceConf}),
				target: pgserver.StartT(t, pgserver.Options{Major: pair[1], Settings: f.targetConf}),
			}
		}
	}
	if got := f.half(t, fires(pair), "fires/"); !slices.ContainsFunc(got, f.matches) {
		t.Errorf("%s does not say %s about %q; it says %+v", f.check, f.severity, f.object, got)
	}
	for _, found := range f.half(t, silent(pair), "silent/") {
		if found.Severity != plan.Info {
			t.Errorf("%s is not silent where it must be: %+v", f.check, found)
		}
	}
}

func (f fixture) matches(found plan.Finding) bool {
	return found.Severity == f.severity && (f.on == "" || found.On == f.on) && strings.Contains(found.Object+"\n"+found.Problem, f.object)
}

// half prepares one half in a database of its own, and returns what the check then finds.
func (f fixture) half(t *testing.T, s *servers, half string) []plan.Finding {
	t.Helper()
	u := s.upgrade(t, f.parts[half+"source.sql"])
	u.target.run(f.parts[half+"target.sql"])
	if open := f.parts[half+"open.sql"]; open != "" {
		c := connect(t, u.sourceURI)
		c.run(open)
		defer c.session.Close()
	}
	args := slices.Concat([]string{"check", "--json"}, f.args, strings.Fields(f.parts[half+"args"]))
	if f.check != "schema-loads" && !slices.Contains(args, "--trial-load") {
		args = append(args, "--trial-load", "none")
	}
	variables := strings.NewReplacer("{{source}}", u.sourceURI, "{{target}}", u.targetURI).Replace(f.parts[half+"env"])
	p := u.start(strings.Fields(variables), args...)
	ended := p.wait()
	var document struct {
		Findings []plan.Finding `json:"findings"`
	}
	ended.into(&document)
	u.source.run(f.parts[half+"after.sql"])
	return slices.DeleteFunc(document.Findings, func(found plan.Finding) bool { return found.Check != f.check })
}

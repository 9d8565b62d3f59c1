package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// lanes is how many pairs of databases are upgraded at a time: most of it is waiting.
const lanes = 4

// TestKilledAtEveryPoint kills pgleap, under load, at every point between schema and teardown, runs the same
// command again, and expects the end of a run that nobody disturbed.
func TestKilledAtEveryPoint(t *testing.T) {
	b := newKillBench(t, 13, 18)
	u := undisturbed(t, b)
	t.Logf("%d points: %d of sync, %d of cutover", len(u.sync)+len(u.cutover), len(u.sync), len(u.cutover))
	fmt.Printf("pgleap is killed at each of %d points: %d of sync, %d of cutover\n", len(u.sync)+len(u.cutover), len(u.sync), len(u.cutover))
	if os.Getenv("KT_ONLY") != "" {
		return
	}
	eachInLanes(t, append(prefixed("sync ", u.sync), prefixed("cutover ", u.cutover)...), func(t *testing.T, name string) {
		verb, at, _ := strings.Cut(name, " ")
		p := b.newPair(t)
		if verb == "sync" {
			p.killed("sync", at)
			p.must("sync")
			p.must("cutover")
		} else {
			p.must("sync")
			p.killed("cutover", at)
			p.mustGoOn()
			p.must("cutover")
		}
		p.mustBeDone(u.state)
	})
}

// killPoints are the names that the two verbs pass when nobody disturbs them, and the state they leave.
type killPoints struct {
	sync, cutover []string
	state         []string
}

func undisturbed(t *testing.T, b *killBench) killPoints {
	t.Helper()
	p := b.newPair(t)
	file := filepath.Join(t.TempDir(), "points")
	var u killPoints
	for _, v := range []struct {
		verb string
		list *[]string
	}{{"sync", &u.sync}, {"cutover", &u.cutover}} {
		p.must(v.verb, pointsFile+"="+file)
		*v.list = readPoints(t, file)
		p.mustDoNothing(v.verb)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	u.state = p.state()
	p.mustBeDone(u.state)
	return u
}

// readPoints reads the names in the file. Steps of a batch go side by side: their points have no order that
// counts, so each must have a name of its own.
func readPoints(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSpace(string(text)), "\n")
	if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(sorted)) != len(list) {
		t.Fatalf("two points have one name: %q", list)
	}
	return list
}

// mustGoOn: a killed cutover either stopped nobody, or has fenced everything.
func (p *killPair) mustGoOn() {
	p.t.Helper()
	if len(p.query(p.source, `select from pg_trigger where tgname ~ 'pgleap'`)) == 0 {
		p.load.await(1)
	}
}

// mustBeDone expects the upgrade to be finished, and judges it.
func (p *killPair) mustBeDone(want []string) {
	p.t.Helper()
	p.mustDoNothing("sync")
	p.mustDoNothing("cutover")
	p.load.awaitMoved(3)
	p.load.end()
	p.load.judge()
	sameState(p.t, "compared with an undisturbed run", want, p.state())
}

func prefixed(prefix string, list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, prefix+s)
	}
	return out
}

// eachInLanes runs a test for each name, some at a time.
func eachInLanes(t *testing.T, names []string, f func(t *testing.T, name string)) {
	t.Helper()
	queue := make(chan string)
	var group sync.WaitGroup
	for range lanes {
		group.Go(func() {
			for name := range queue {
				t.Run(name, func(t *testing.T) { f(t, name) })
			}
		})
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	group.Wait()
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgleap/plan"
)

// lanes is how many pairs of databases are upgraded at a time: most of it is waiting.
const lanes = 4

// TestKilled kills pgleap, under load, wherever it may die, runs the same command again, and expects the end
// of a run that nobody disturbed.
func TestKilled(t *testing.T) {
	b := newKillBench(t, 13, 18)
	u := undisturbed(t, b)
	// Not in the log alone: a run that killed at fewer points than it should must be seen.
	fmt.Printf("pgleap is killed at each of %d points: %d of sync, %d of cutover; and aborted at those of sync\n", len(u.sync)+len(u.cutover), len(u.sync), len(u.cutover))
	t.Run("sync", func(t *testing.T) {
		inLanes(t, u.sync, func(t *testing.T, at string) {
			p := b.newPair(t)
			p.killed("sync", at)
			p.must("sync")
			p.must("cutover")
			p.mustBeDone(u.state)
		})
	})
	t.Run("cutover", func(t *testing.T) {
		inLanes(t, u.cutover, func(t *testing.T, at string) {
			p := b.newPair(t)
			p.must("sync")
			p.killed("cutover", at)
			p.mustGoOn(at)
			p.must("cutover")
			p.mustBeDone(u.state)
		})
	})
	t.Run("abort", func(t *testing.T) { testAbortAfterKill(t, b, u.sync) })
	t.Run("again and again", func(t *testing.T) { testKilledAgain(t, b, u) })
	t.Run("waiting for the slot", func(t *testing.T) { testKilledAtSlot(t, b, u) })
	t.Run("copying", func(t *testing.T) { testKilledInCopy(t, b, u) })
	t.Run("waiting for a lock", func(t *testing.T) { testKilledAtLock(t, b, u) })
	b.mustHoldNothing(t)
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
		before := p.state()
		p.mustDoNothing(v.verb)
		sameState(t, v.verb+" with nothing to do", before, p.state())
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
	list := strings.Fields(string(text))
	if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(sorted)) != len(list) {
		t.Fatalf("two points have one name: %q", list)
	}
	return list
}

// testAbortAfterKill kills sync at every point and takes the run back: both sides are as before.
func testAbortAfterKill(t *testing.T, b *killBench, points []string) {
	queue := make(chan string, len(points))
	for _, at := range points {
		queue <- at
	}
	close(queue)
	// An abort leaves nothing, so one pair of databases serves again and again.
	var names []string
	for i := range lanes {
		names = append(names, fmt.Sprintf("lane %d", i+1))
	}
	inLanes(t, names, func(t *testing.T, _ string) {
		p := b.newPair(t)
		before := p.state()
		at := ""
		defer func() {
			if t.Failed() {
				t.Logf("killed at %s", at)
			}
		}()
		for at = range queue {
			p.killed("sync", at)
			p.must("abort")
			sameState(t, "after a kill at "+at+" and an abort", before, p.state())
			p.load.await(1)
		}
		p.load.end()
		p.load.judgeStayed()
	})
}

// testKilledAgain kills each run at the first point that no run before it has passed: at successive points,
// one after the other, in one and the same upgrade.
func testKilledAgain(t *testing.T, b *killBench, u killPoints) {
	p := b.newPair(t)
	file := filepath.Join(t.TempDir(), "points")
	deaths, most := 0, 2*(len(u.sync)+len(u.cutover))
	for _, verb := range []string{"sync", "cutover"} {
		for {
			o := p.start(verb, pointsFile+"="+file, killAt+"="+killAtNew).wait()
			if o.signal != syscall.SIGKILL {
				if o.exit != 0 {
					t.Fatalf("after %d deaths: %s", deaths, o)
				}
				break
			}
			if deaths++; deaths > most {
				t.Fatalf("does not come to an end: %s", o)
			}
		}
	}
	t.Logf("killed %d times on the way", deaths)
	p.mustBeDone(u.state)
}

// testKilledAtSlot kills sync while the slot's creation waits for somebody's open transaction.
func testKilledAtSlot(t *testing.T, b *killBench, u killPoints) {
	const slot plan.StepID = "publish.slot"
	p := b.newPair(t)
	before := p.state()
	hold := p.open(p.source)
	defer hold.Close()
	waits := func() *killRun {
		c := p.start("sync")
		awaitThat(t, "the slot waits", func() bool { return c.said(plan.EventWaiting, slot) || c.ended() })
		return c
	}
	p.script(hold, "begin; create table app.held ()")
	p.mustHaveDied(waits().kill())
	p.must("abort") // while the transaction is still open
	sameState(t, "after the abort", before, p.state())
	p.mustHaveDied(waits().kill())
	c := waits()
	p.script(hold, "rollback")
	p.mustHaveDone(c.wait())
	p.must("cutover")
	p.mustBeDone(u.state)
}

// testKilledInCopy kills sync in the middle of a table's first copy: an advisory lock holds the copy up.
func testKilledInCopy(t *testing.T, b *killBench, u killPoints) {
	p := b.newPair(t)
	before := p.state()
	hold := p.open(p.target)
	defer hold.Close()
	inCopy := func() {
		p.killed("sync", "subscribe.enable.before")
		p.script(hold, `select pg_advisory_lock(4711);
create function public.hold() returns trigger language plpgsql as 'begin perform pg_catalog.pg_advisory_xact_lock_shared(4711); return new; end';
create trigger hold before insert on app.item for each row execute function public.hold();
alter table app.item enable always trigger hold`)
		c := p.start("sync")
		awaitThat(t, "the copy is held up", func() bool {
			return c.ended() || len(p.query(p.target, `select from pg_stat_activity where wait_event = 'advisory' and datname = current_database() and application_name <> 'kill'`)) > 0
		})
		p.mustHaveDied(c.kill())
	}
	inCopy()
	p.must("abort") // while the copy is still under way
	p.script(hold, "select pg_advisory_unlock_all()")
	sameState(t, "after the abort", before, p.state())
	inCopy()
	c := p.start("sync")
	p.script(hold, "select pg_advisory_unlock_all(); drop trigger hold on app.item; drop function public.hold()")
	p.mustHaveDone(c.wait())
	p.must("cutover")
	p.mustBeDone(u.state)
}

// testKilledAtLock kills the switch while it waits for a writer's lock.
func testKilledAtLock(t *testing.T, b *killBench, u killPoints) {
	p := b.newPair(t)
	p.must("sync")
	hold := p.open(p.source)
	defer hold.Close()
	waits := func() *killRun {
		c := p.start("cutover")
		awaitThat(t, "the switch waits for a lock", func() bool {
			return c.ended() || len(p.query(p.source, `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and application_name = 'pgleap/cutover'`)) > 0
		})
		return c
	}
	p.script(hold, "begin; update app.customer set name = name where id = 1")
	p.mustHaveDied(waits().kill())
	p.load.await(1) // the lock of the dead is not granted any more, and stops nobody
	c := waits()
	p.script(hold, "commit")
	p.mustHaveDone(c.wait())
	p.mustBeDone(u.state)
}

// inLanes runs a test for each name, some at a time.
func inLanes(t *testing.T, names []string, f func(t *testing.T, name string)) {
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

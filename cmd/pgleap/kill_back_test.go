package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"pgleap/plan"
)

// onlyTheApplication: a trigger that fires for replicated rows too stands in the way of a rollback.
const onlyTheApplication = `alter table app.orders enable trigger orders_audited`

// TestKilledOnTheWayBack kills pgleap, under load, wherever it may die between a cutover and the next, runs the same
// command again, and expects that nothing was lost or doubled over all the trips of one pair of databases.
func TestKilledOnTheWayBack(t *testing.T) {
	b := newKillBench(t, 13, 18, onlyTheApplication)
	points, ready := undisturbedTrip(t, b)
	fmt.Printf("pgleap is killed at each of %d points of cutover and rollback\n", len(points))
	queue := make(chan killPoint, len(points))
	for _, at := range points {
		queue <- at
	}
	close(queue)
	var names []string
	for i := range lanes {
		names = append(names, fmt.Sprintf("lane %d", i+1))
	}
	inLanes(t, names, func(t *testing.T, _ string) {
		p := b.newPair(t)
		p.rollsBack = true
		before := p.state()
		p.must("sync")
		var at killPoint
		defer func() {
			if t.Failed() {
				t.Logf("killed at %s of %s", at.name, at.verb)
			}
		}()
		for at = range queue {
			p.tripKilledAt(at)
			sameState(t, "ready again", ready, p.readyState())
		}
		p.load.end()
		p.load.judgeTrips(p.source, p.target)
		p.must("abort")
		sameState(t, "after the abort", before, p.state())
	})
	b.mustHoldNothing(t)
}

type killPoint struct{ verb, name string }

// tripKilledAt goes there and back, and dies once on the way.
func (p *killPair) tripKilledAt(at killPoint) {
	p.t.Helper()
	for _, verb := range []string{"cutover", "rollback"} {
		if verb == at.verb {
			p.killed(verb, at.name)
			p.mustWriteOrBeFenced(verb)
		}
		p.must(verb)
		p.load.await(1)
	}
}

// mustWriteOrBeFenced: a switch that was killed either stopped nobody, or has fenced the side that it leaves.
func (p *killPair) mustWriteOrBeFenced(verb string) {
	p.t.Helper()
	leaves := p.source
	if verb == "rollback" {
		leaves = p.target
	}
	if p.query(leaves, "select "+plan.FenceStands)[0][0] == "f" || p.load.hasFlipped() != (verb == "rollback") {
		p.load.await(1)
	}
}

// undisturbedTrip returns the points that a cutover and a rollback pass when nobody disturbs them, and the state in
// which they leave the pair: that in which sync has left it, but for the triggers of either fence.
func undisturbedTrip(t *testing.T, b *killBench) (points []killPoint, ready []string) {
	t.Helper()
	p := b.newPair(t)
	p.rollsBack = true
	before := p.state()
	p.must("sync")
	file := filepath.Join(t.TempDir(), "points")
	for trip := range 2 {
		for _, verb := range []string{"cutover", "rollback"} {
			p.must(verb, pointsFile+"="+file)
			p.load.await(2)
			if trip == 1 { // what an earlier trip has left is met
				for _, name := range readPoints(t, file) {
					points = append(points, killPoint{verb, name})
				}
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			after := p.state()
			p.mustDoNothing(verb)
			sameState(t, verb+" with nothing to do", after, p.state())
		}
		if trip == 0 {
			ready = p.readyState()
		}
	}
	sameState(t, "after the second trip", ready, p.readyState())
	p.must("cutover")
	p.load.await(2)
	p.load.end()
	p.load.judgeTrips(p.target, p.source)
	p.must("finalize")
	sameState(t, "the source after finalize", p.sideOf(before, p.source), p.sideOf(p.state(), p.source))
	sameState(t, "what is ours on the target after finalize", nil, p.ours(p.target))
	return points, ready
}

// ofTrips are the journal's lines about stages that each trip walks anew.
var ofTrips = regexp.MustCompile(`-done of (switch|release|teardown|back-switch|back-release) `)

// readyState is state without what only counts the trips.
func (p *killPair) readyState() []string {
	p.t.Helper()
	return slices.DeleteFunc(p.state(), ofTrips.MatchString)
}

// sideOf keeps of a state what is told of one side.
func (p *killPair) sideOf(state []string, side killSide) []string {
	var out []string
	for _, line := range state {
		if len(line) > len(side.name) && line[:len(side.name)] == string(side.name) {
			out = append(out, line)
		}
	}
	return out
}

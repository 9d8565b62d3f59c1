package main

import (
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/internal/pipeline"
)

// TestSameNameTwice: runs of one name lead from two servers into two databases of one target cluster.
func TestSameNameTwice(t *testing.T) {
	one := startServers(t, 15, 18)
	two := &servers{source: pgserver.StartT(t, pgserver.Options{Major: 13}), target: one.target}
	two.count.Store(1) // another database of the target
	first, second := one.upgrade(t, small), two.upgrade(t, small)
	before := second.snapshot()
	for _, u := range []*upgrade{first, second} {
		u.run(exitOK, "sync", "--run", "shop")
	}
	first.run(exitOK, "cutover", "--run", "shop", "--confirm", first.name)
	var st pipeline.Status
	if second.run(exitOK, "status", "--run", "shop", "--json").into(&st); st.Level != pipeline.OK || st.States["ready"] != 3 {
		t.Errorf("the second run, when the first was switched: %+v", st)
	}
	second.run(exitOK, "abort", "--run", "shop")
	second.unchanged(before)
	first.run(exitOK, "finalize", "--run", "shop", "--confirm", first.name)
}

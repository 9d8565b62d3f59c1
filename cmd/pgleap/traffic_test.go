package main

import (
	"fmt"
	"testing"
)

// TestTraffic: clients behind poolers are held, moved and let go on; none meets an error.
func TestTraffic(t *testing.T) {
	s := startServers(t, 15, 17)
	for _, c := range []struct {
		name    string
		poolers int
		how     func(*pooled) []string
	}{
		{"one pooler, its file", 1, (*pooled).byFile},
		{"two poolers, their files", 2, (*pooled).byFile},
		{"two poolers, a hook", 2, func(p *pooled) []string { return p.byHook("") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pooledUpgrade(t, s, c.poolers)
			load := p.startLoad()
			p.switchOver(nil, p.cutoverArgs(c.how(p))...).wait().exits(exitOK)
			load.served()
			p.mustBeAt(s.target)
			load.judge(p.target)
			p.source.is("t", "select count(*) > 0 from written")
			fmt.Printf("%s: longest wait of a client %s\n", c.name, load.longestGap())
			if gap := load.longestGap(); gap > trafficBudget {
				t.Errorf("a client waited %s", gap)
			}
		})
	}
}

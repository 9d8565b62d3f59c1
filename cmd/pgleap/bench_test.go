package main

import (
	"slices"
	"testing"
	"time"

	"pgleap/internal/rehearsal"
)

// BenchmarkSwitch makes the switch under load, by pgleap and by hand in turn: the same fence, drain and
// sequence statements in one script are the floor. It prints the longest time without an acknowledged write,
// which is what clients see, and fails when pgleap's median is more than three times the floor's.
//
//	go test -run '^$' -bench Switch -benchtime 20x ./cmd/pgleap
func BenchmarkSwitch(b *testing.B) {
	var ours, floor []float64
	c := rehearsal.Config{
		From: 15, To: 17, Scenario: "shop", Rate: 500, Clients: 16, Duration: 6 * time.Second,
		Budget: rehearsal.Budget{WriteStall: 3 * time.Second}, SkipFinalize: true,
	}
	for i := range b.N {
		c.Seed = int64(i + 1)
		for _, byHand := range []bool{false, true} {
			c.By = map[bool]rehearsal.Means{true: rehearsal.ByStatements}[byHand]
			v := rehearse(b, c)
			mustPass(b, v)
			b.Logf("seed %2d  by hand %-5v  writes stalled %6.1f ms  statements %6.1f ms", c.Seed, byHand, v.Switch.StallMS, v.Switch.Parts["stall_ms"])
			if byHand {
				floor = append(floor, v.Switch.StallMS)
			} else {
				ours = append(ours, v.Switch.StallMS)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours), "ms-median")
	b.ReportMetric(slices.Max(ours), "ms-max")
	b.ReportMetric(median(floor), "floor-ms-median")
	b.ReportMetric(slices.Max(floor), "floor-ms-max")
	ratio := median(ours) / median(floor)
	b.ReportMetric(ratio, "ratio")
	if ratio > 3 {
		b.Fatalf("the median stall is %.1f ms, %.1f times the floor's %.1f ms", median(ours), ratio, median(floor))
	}
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

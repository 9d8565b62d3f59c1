package main

import (
	"context"
	"os"
	"testing"
	"time"

	"pgleap/internal/rehearsal"
)

// mostOff is by which factor an estimate may miss.
const mostOff = 2

// BenchmarkEstimates rehearses pgbench at scale 20 and shop at 1 GB, with a light load, and fails when the
// plan's estimate of the copy or of the index builds is off by more than a factor of two: the median of the
// runs, because a short measurement on a machine that does other things can hit a bad moment. The other
// estimates are printed.
//
//	go test -run '^$' -bench Estimates -benchtime 3x -timeout 90m ./cmd/pgleap
func BenchmarkEstimates(b *testing.B) {
	for _, c := range []rehearsal.Config{{Scenario: "pgbench", Scale: 20}, {Scenario: "shop", Scale: 50}} {
		b.Run(c.Scenario, func(b *testing.B) {
			c.From, c.To, c.Rate, c.Clients, c.Duration = 13, 18, 20, 4, 2*time.Second
			c.Budget = rehearsal.Budget{WriteStall: 30 * time.Second}
			factors := map[string][]float64{}
			for i := range b.N {
				c.Seed = int64(i + 1)
				for _, e := range rehearseLong(b, c).Estimates {
					b.Logf("%-8s seed %d  %s", c.Scenario, c.Seed, e)
					factors[e.Of] = append(factors[e.Of], e.Factor())
				}
			}
			b.ReportMetric(0, "ns/op")
			for _, of := range []string{rehearsal.ComparesCopy, rehearsal.ComparesIndex} {
				off := median(factors[of])
				b.ReportMetric(off, of+"-factor")
				if off == 0 || off > mostOff {
					b.Errorf("%s: the estimate of the %s is off by a factor of %.2f, and may be by %d (0: there is none)", c.Scenario, of, off, mostOff)
				}
			}
		})
	}
}

// rehearseLong rehearses what takes longer than a test's scenario. The upgrade itself has to pass, too.
func rehearseLong(b *testing.B, c rehearsal.Config) rehearsal.Verdict {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c.Tool, c.ToolEnv = []string{self}, []string{asCommand + "=1"}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	v, err := rehearsal.Run(ctx, c)
	if err != nil {
		b.Fatalf("the rehearsal broke: %v", err)
	}
	mustPass(b, v)
	return v
}

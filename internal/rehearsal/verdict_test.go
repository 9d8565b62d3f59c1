package rehearsal

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a verdict with everything in it.
func sample() Verdict {
	return Verdict{
		From: "13.23", To: "18.4", Scenario: "shop", Seed: 42, Clients: 16, Readers: 2, Rate: 500, ReadRate: 1000, Pooler: PoolerPgBouncer, Seconds: 61.25,
		Budget: Budget{WriteStall: time.Second}, Report: "out",
		Phases: []Phase{{"check", "16 checks: 2 warn, 0 block", 0.3}, {"sync", "2044 transactions acknowledged meanwhile", 10.6}, {"cutover", "old server stopped at 0/5A3C9D8", 0.4}},
		Estimates: []Comparison{
			{ComparesCopy, "seconds", 12, 10, "1 GB at 91 MB/s"}, {ComparesIndex, "seconds", 0.75, 1.5, ""}, {ComparesWAL, "bytes", 0, 22 << 20, "not known"},
		},
		Switch: SwitchSummary{
			Direction: there, Seconds: 0.4, ReadOutside: Latencies{2000, 1, 2, 3, 4},
			FenceLSN: "0/5A3C9D8", Parts: map[string]float64{"lock_ms": 1.5, "drain_ms": 4, "stall_ms": 12.5}, HarnessMS: 1.2,
			StallMS: 17, ReadsMS: 11, Attempts: 6, Outside: Latencies{9000, 1.2, 3, 9, 40}, Inside: Latencies{8, 6, 14, 16, 16.5}, ReadInside: Latencies{1, 2, 2, 2, 2},
		},
		Floor: &Floor{Pause: Spread{20, 12, 19}, Script: Spread{20, 8, 11}, Hand: Spread{20, 19, 31}},
		Turns: &Turns{
			Cutover:  Direction{Stall: Spread{2, 25, 30}, Reads: Spread{2, 24, 29}, Slowest: Spread{2, 31, 33}, Parts: map[string]Spread{"pause_ms": {2, 9, 10}, "stall_ms": {2, 20, 26}}, Times: 1.25},
			Rollback: Direction{Stall: Spread{1, 40, 40}, Reads: Spread{1, 41, 41}, Slowest: Spread{1, 44, 44}, Parts: map[string]Spread{"stall_ms": {1, 33, 33}}, Times: 2},
		},
		Ledger: LedgerSummary{
			Acknowledged: 10000, OnSource: 6000, OnTarget: 4000, Found: 9999, Lost: 1, Failed: 4, FailedByCode: map[string]int{"25006": 4},
			Unknown: 3, UnknownPresent: 2, Reads: 2000,
		},
		Assertions: []Assertion{
			{"R-LOST", false, "transaction 7 of client 3, acknowledged by the source, is lost\nledger.item lacks (3/7: item 7 & <more>)", 0.5},
			{"R-SUM", true, "the accounts still hold 1000000", 0},
		},
	}
}

func TestWriters(t *testing.T) {
	for name, write := range map[string]func(Verdict, *strings.Builder) error{
		"verdict.txt":  func(v Verdict, b *strings.Builder) error { return v.WriteText(b) },
		"verdict.json": func(v Verdict, b *strings.Builder) error { return v.WriteJSON(b) },
		"junit.xml":    func(v Verdict, b *strings.Builder) error { return v.WriteJUnit(b) },
	} {
		var b strings.Builder
		if err := write(sample(), &b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestPassed(t *testing.T) {
	if (Verdict{}).Passed() {
		t.Error("a verdict without assertions passes")
	}
	if sample().Passed() {
		t.Error("a verdict with a failed assertion passes")
	}
	v := sample()
	v.Assertions = v.Assertions[1:]
	if !v.Passed() {
		t.Error("a verdict of held assertions fails")
	}
}

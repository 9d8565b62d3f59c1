package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgleap/cutover"
	"pgleap/plan"
	"pgleap/sequences"
)

var update = flag.Bool("update", false, "write testdata/report anew")

// sampleReport has something in every place.
func sampleReport() Report {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	refused := int64(12)
	return Report{
		Tool: "pgleap 0.1.0", Run: "shop", Verb: "cutover", Outcome: Switched, By: "ann@bastion", Began: at, Ended: at.Add(90 * time.Second), Budget: 5,
		Left:      ReportServer{Side: plan.Source, Address: "old:5432/shop", User: "postgres", Version: "13.23", SystemID: "7370000000000000001"},
		TakesOver: ReportServer{Side: plan.Target, Address: "new:5432/shop", User: "postgres", Version: "18.4", SystemID: "7370000000000000002"},
		Waits:     []Wait{{For: "the word", Seconds: 75}, {For: "a quiet moment", Seconds: 1.25}},
		Switch: &cutover.Result{
			FenceLSN: "16/B374D848", Attempts: 2, Tables: 184, LockMS: 4.25, MarkerMS: 1.5, TriggersMS: 18, DrainMS: 11, SequencesMS: 6, CommitMS: 1, HoldMS: 5, MoveMS: 0.5, BackMS: 2, ReleaseMS: 0.25, StallMS: 47.5,
			Sequences: []sequences.Report{{Name: "public.orders_id_seq", SourceLast: 41, SourceCalled: true, TargetLast: 51, TargetCalled: true, Margin: 10}, {Name: "public.never", SourceLast: 1, TargetLast: 1}},
			Refusals: []cutover.Refusal{
				{Role: "app_rw", How: "as it is", Tried: "insert into public.orders default values", Refused: true, Answer: "pgleap: this database has moved to new:5432 (SQLSTATE 25006)"},
				{Role: "batch", How: "set role", Answer: "permission denied to set role \"batch\""},
				{Role: "evil|pipe", How: "as it is", Tried: "delete from t", Answer: "DELETE 0"},
			},
		},
		Timeline: []Moment{{At: at.Add(80 * time.Second), MS: -120.5, What: momentWords["prepared"]}, {At: at.Add(81 * time.Second), What: momentWords["held"]}, {At: at.Add(81*time.Second + 46*time.Millisecond), MS: 46, What: momentWords["committed"]}},
		Applied:  &Applied{LatestEndLSN: "16/B374D900"},
		Clients: &ClientsReport{
			Sessions: []plan.Clients{{User: "app_rw", Application: "shop`web", Address: "10.0.0.7", Sessions: 9}, {User: "cron", Sessions: 1}}, Terminated: 10, Refused: &refused,
			Poolers: []PoolerReport{{Name: "PgBouncer 10.0.0.5:6432", Figures: map[string]float64{"clients": 900, "paused_ms": 46.25}}},
		},
		Warnings: []plan.Finding{{Check: "unlogged-tables", Severity: plan.Warning, Problem: "public.cache is unlogged\nits rows are not copied", Accepted: true}, {Check: "roles", Severity: plan.Warning, Problem: "role x is missing"}},
		Notes:    []string{"the word was given by bob@laptop"},
		WayBack:  "pgleap rollback, until pgleap finalize: what was written since comes along",
	}
}

// TestReportGolden holds both forms of a report; go test ./internal/pipeline -run ReportGolden -update writes them.
func TestReportGolden(t *testing.T) {
	full := sampleReport()
	if err := full.typeSequences(); err != nil {
		t.Fatal(err)
	}
	rehearsal := Report{
		Tool: full.Tool, Run: "shop", Verb: "cutover", Rehearsal: true, Outcome: Rehearsed, By: full.By, Began: full.Began, Ended: full.Ended, Budget: 5, Left: full.Left, TakesOver: full.TakesOver,
		Switch: &cutover.Result{FenceLSN: "16/B374D848", Attempts: 1, Tables: 184, LockMS: 4, StallMS: 31.5}, LeftOut: 2, WayBack: "nothing to go back from",
	}
	undone := rehearsal
	undone.Rehearsal, undone.Outcome, undone.Verb, undone.LeftOut = false, Undone, "rollback", 0
	undone.Error = "the panic file /tmp/stop is there (--panic-file)\nfix: remove it"
	failed := undone
	failed.Rehearsal = true
	resumed := full
	resumed.Switch = &cutover.Result{FenceLSN: "16/B374D848", DrainedLSN: "16/B374E000", Repaired: true, Tables: 184, DrainMS: 11, StallMS: 20}
	resumed.Sequences = nil
	for name, r := range map[string]Report{"full": full, "failed-rehearsal": failed, "resumed": resumed, "rehearsal": rehearsal, "undone": undone} {
		var markdown, document bytes.Buffer
		if err := errors.Join(r.WriteMarkdown(&markdown), r.WriteJSON(&document)); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".md", markdown.Bytes())
		golden(t, name+".json", document.Bytes())
		var back Report
		if err := json.Unmarshal(document.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if err := back.typeSequences(); err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := back.WriteMarkdown(&again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(markdown.String(), again.String()); diff != "" {
			t.Errorf("%s: read back from JSON it tells something else:\n%s", name, diff)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "report", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

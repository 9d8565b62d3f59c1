package ui

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pgleap/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// at returns e as it happened so many seconds after midnight.
func at(second int, e plan.Event) plan.Event {
	e.Time = midnight.Add(time.Duration(second) * time.Second)
	return e
}

func copied(second int, bytes, total int64, ready int) plan.Event {
	return at(second, plan.Event{
		Kind: plan.EventProgress, Stage: plan.StageSubscribe, Bytes: bytes, Total: total,
		Data: map[string]any{"tables_ready": ready, "tables": 184, "lag_bytes": 3250586.0},
	})
}

// aRun is a run as ux.md shows it.
func aRun() []plan.Event {
	return []plan.Event{
		at(0, plan.Event{Kind: plan.EventStage, Stage: plan.StageSchema, Message: "definitions"}),
		at(1, plan.Event{Kind: plan.EventStep, Stage: plan.StageSchema, Step: "schema.load", Message: "Load the definitions", Seconds: 3}),
		at(4, plan.Event{Kind: plan.EventDone, Stage: plan.StageSchema, Message: "184 tables, 41 types, 12 functions", Seconds: 4.1}),
		at(4, plan.Event{Kind: plan.EventSkipped, Stage: plan.StagePublish, Message: "publication and slot"}),
		at(4, plan.Event{Kind: plan.EventStage, Stage: plan.StageSubscribe}),
		copied(5, 1<<30, 212<<30, 0),
		at(6, plan.Event{Kind: plan.EventWaiting, Stage: plan.StageSubscribe, Message: "waiting for pid 4711, app_rw, open 14 min, idle in transaction"}),
		at(7, plan.Event{Kind: plan.EventWaiting, Stage: plan.StageSubscribe, Message: "waiting for pid 4711, app_rw, open 15 min, idle in transaction"}),
		copied(1105, 112<<30, 212<<30, 117),
		copied(1135, 112<<30+30*91<<20, 212<<30, 117),
	}
}

func print(o Options, events ...plan.Event) (Printer, *screen, *screen) {
	out, errs := new(screen), new(screen)
	o.Stdout, o.Stderr = out, errs
	p := New(o)
	for _, e := range events {
		p.Event(e)
	}
	return p, out, errs
}

func TestTextAwayFromATerminal(t *testing.T) {
	for name, o := range map[string]Options{"a file": {}, "--no-progress": {Terminal: true, NoProgress: true}} {
		t.Run(name, func(t *testing.T) {
			p, out, errs := print(o, aRun()...)
			p.Close(true)
			wantOut := []string{
				"✓ schema      184 tables, 41 types, 12 functions                            4.1s",
				"✓ publish     publication and slot                                  done already",
			}
			wantErrs := []string{
				"▸ schema      definitions",
				"  schema.load: Load the definitions  3s",
				"▸ subscribe",
				"▸ subscribe   0%  1/212 GB   0/184 tables   lag 3.1 MB",
				"  waiting for pid 4711, app_rw, open 14 min, idle in transaction",
				"▸ subscribe   53%  112/212 GB  103 MB/s  16m left   117/184 tables   lag 3.1 MB",
				"▸ subscribe   54%  115/212 GB  91 MB/s  18m left   117/184 tables   lag 3.1 MB",
				"✗ subscribe   stopped at 115/212 GB   117/184 tables   lag 3.1 MB",
			}
			if diff := cmp.Diff(wantOut, out.lines()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantErrs, errs.lines()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if all := out.written() + errs.written(); strings.ContainsAny(all, "\x1b\r") {
				t.Errorf("escape codes away from a terminal: %q", all)
			}
		})
	}
}

func TestBar(t *testing.T) {
	_, out, errs := print(Options{Terminal: true}, aRun()...)
	want := []string{"▸ subscribe   54% ██████████░░░░░░░░░░  115/212 GB  91 MB/s  18m left   117/184 tables   lag 3.1 MB"}
	if diff := cmp.Diff(want, errs.lines()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if strings.Contains(out.written(), "\x1b") {
		t.Errorf("escape codes on stdout without colour: %q", out.written())
	}
}

func TestBarGivesWayToStagesAndLog(t *testing.T) {
	both := new(screen) // stdout and stderr are mostly the same terminal
	p := New(Options{Stdout: both, Stderr: both, Terminal: true})
	log := slog.New(p.LogHandler(slog.LevelInfo))
	p.Event(at(0, plan.Event{Kind: plan.EventStage, Stage: plan.StageSubscribe}))
	p.Event(copied(1, 10, 100, 1))
	log.Info("connection lost", "side", "target")
	log.Debug("not asked for")
	p.Event(at(2, plan.Event{Kind: plan.EventNote, Message: "two\nlines\x1b[2J"}))
	p.Event(copied(3, 50, 100, 2))
	if got := both.lines(); len(got) != 3 || !strings.Contains(got[0], `msg="connection lost" side=target`) ||
		got[1] != `! two\nlines\x1b[2J` || !strings.HasPrefix(got[2], "▸ subscribe   50% █") {
		t.Errorf("screen shows\n%s", strings.Join(got, "\n"))
	}
	p.Event(at(9, plan.Event{Kind: plan.EventDone, Stage: plan.StageSubscribe, Seconds: 9}))
	p.Close(false)
	log.Info("after the end")
	if got := both.lines(); len(got) != 4 || !strings.HasPrefix(got[2], "✓ subscribe") || !strings.Contains(got[3], "after the end") {
		t.Errorf("screen shows\n%s", strings.Join(got, "\n"))
	}
}

func TestBarTakesWrongTotals(t *testing.T) {
	p, _, errs := print(Options{Terminal: true})
	for i, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, "0/184 tables"},
		{0, 100, "0% "},
		{100, 100, "99% ███████████████████░"},
		{500, 100, "99% ███████████████████░  500/500 B"},
		{500, 1000, "50% ██████████░"}, // the total was raised
		{-5, 1000, "0% ░"},
		{math.MaxInt64, 1, "99% "},
		{700, 1000, "70% "},
	} {
		p.Event(copied(i, c.done, c.total, 0))
		got := errs.lines()
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%d of %d: screen shows %q; want %q", c.done, c.total, got, c.want)
		}
	}
	p.Close(false)
	if got := errs.lines(); len(got) != 0 {
		t.Errorf("left on the screen: %q", got)
	}
}

func TestFailureLeavesTheBarWhereItIs(t *testing.T) {
	p, _, errs := print(Options{Terminal: true}, copied(0, 40, 100, 7))
	p.Close(true)
	p.Close(true)
	got := errs.lines()
	if len(got) != 2 || !strings.HasPrefix(got[0], "▸ subscribe   40% ████████░░") || got[1] != "✗ subscribe   stopped" {
		t.Errorf("screen shows\n%s", strings.Join(got, "\n"))
	}
	if strings.Contains(errs.written(), "100%") {
		t.Error("a failed run was shown as complete")
	}
}

func TestWaitingIsShownInThePlaceOfTheBar(t *testing.T) {
	p, _, errs := print(Options{Terminal: true}, aRun()[:8]...)
	if got := errs.lines(); len(got) != 1 || got[0] != "▸ subscribe   waiting for pid 4711, app_rw, open 15 min, idle in transaction" {
		t.Errorf("screen shows %q", got)
	}
	p.Event(copied(8, 106<<30, 212<<30, 9))
	if got := errs.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "▸ subscribe   50% █") {
		t.Errorf("screen shows %q", got)
	}
	p.Close(false)
}

func TestWaitingIsSaidAgain(t *testing.T) {
	waiting := func(second, pid, age int) plan.Event {
		return at(second, plan.Event{
			Kind: plan.EventWaiting, Stage: plan.StagePublish, Message: fmt.Sprintf("waiting for pid %d, open %d s", pid, age), Data: map[string]any{"pid": pid},
		})
	}
	_, _, errs := print(Options{}, waiting(0, 1, 1), waiting(1, 1, 2), waiting(2, 7, 9), waiting(20, 7, 27), waiting(33, 7, 40))
	want := []string{"  waiting for pid 1, open 1 s", "  waiting for pid 7, open 9 s", "  waiting for pid 7, open 40 s"}
	if diff := cmp.Diff(want, errs.lines()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
}

func TestColourAndNote(t *testing.T) {
	_, out, _ := print(Options{Color: true, Terminal: true}, plan.Event{
		Kind: plan.EventDone, Stage: plan.StageRelease, Message: "PgBouncer resumed on the new server", Seconds: 1, Data: map[string]any{"note": "writes stalled 74 ms"},
	})
	plain := "✓ release     PgBouncer resumed on the new server           writes stalled 74 ms"
	if got := out.lines(); len(got) != 1 || got[0] != plain {
		t.Errorf("stdout shows %q; want %q", got, plain)
	}
	if want := "\x1b[32m✓\x1b[0m release"; !strings.HasPrefix(out.written(), want) {
		t.Errorf("stdout holds %q; want it to begin with %q", out.written(), want)
	}
}

func TestBatchesHaveABar(t *testing.T) {
	p, out, errs := print(Options{Terminal: true}, plan.Event{
		Kind: plan.EventProgress, Stage: plan.StageFinish, Message: "index a", Data: map[string]any{"batch": "index", "done": 3, "of": 12},
	})
	if got := errs.lines(); len(got) != 1 || got[0] != "▸ finish      25% █████░░░░░░░░░░░░░░░  index 3/12   index a" {
		t.Errorf("screen shows %q", got)
	}
	p.Event(plan.Event{Kind: plan.EventUndone, Stage: plan.StageFinish, Step: "finish.a\n", Message: "drop index a"})
	p.Event(plan.Event{Kind: plan.EventReleased, Stage: plan.StageSwitch, Message: "the target takes the writes"})
	if got := errs.lines(); len(got) != 2 || got[0] != `  ↩ finish.a\n: drop index a` {
		t.Errorf("screen shows %q", got)
	}
	if got := out.lines(); len(got) != 1 || got[0] != "→ switch      the target takes the writes" {
		t.Errorf("stdout shows %q", got)
	}
	p.Close(false)
}

func TestJSONLines(t *testing.T) {
	p, out, errs := print(Options{JSON: true, Terminal: true, Color: true}, aRun()...)
	p.Event(plan.Event{Kind: plan.EventNote, Message: "a < b\n", Seconds: math.NaN(), Data: map[string]any{"f": func() {}}})
	slog.New(p.LogHandler(slog.LevelInfo)).Info("to stderr")
	p.Close(true)
	lines := bufio.NewScanner(strings.NewReader(out.written()))
	n := 0
	for ; lines.Scan(); n++ {
		var e plan.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Kind == "" {
			t.Errorf("line %d: %v: %s", n, err, lines.Text())
		}
	}
	if n != len(aRun())+1 {
		t.Errorf("%d lines; want one per event", n)
	}
	if got := errs.lines(); len(got) != 1 || !strings.Contains(got[0], "to stderr") {
		t.Errorf("stderr shows %q; want the log alone", got)
	}
}

func TestJSONIsFlushedAtOnce(t *testing.T) {
	var out bytes.Buffer
	p := New(Options{JSON: true, Stdout: bufio.NewWriter(&out), Stderr: new(screen)})
	p.Event(plan.Event{Kind: plan.EventNote, Message: "now"})
	if !strings.HasSuffix(out.String(), "}\n") {
		t.Errorf("a reader of stdout sees %q", out.String())
	}
}

// TestManyAtATime is for the race detector.
func TestManyAtATime(t *testing.T) {
	for _, o := range []Options{{Terminal: true}, {}, {JSON: true}} {
		p, _, _ := print(o)
		log := slog.New(p.LogHandler(slog.LevelInfo))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for j := range 50 {
					p.Event(copied(j, int64(i*j), 100, j))
					p.Event(at(j, plan.Event{Kind: plan.EventStep, Stage: plan.StageFinish, Step: "finish.index"}))
					log.Info("line", "i", i)
				}
			})
		}
		wg.Wait()
		p.Close(false)
	}
}

func TestDetect(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	none := func(string) string { return "" }
	if o := Detect(file, file, none); o.Terminal || o.Color || o.NoProgress {
		t.Errorf("a file: %+v; want no terminal and no colour", o)
	}
	ci := func(name string) string { return map[string]string{"CI": "true"}[name] }
	if o := Detect(file, file, ci); !o.NoProgress {
		t.Error("CI: want no progress bar")
	}
}

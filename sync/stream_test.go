package sync

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestStreamJobs: a source with few processors keeps one for the clients that write to it.
func TestStreamJobs(t *testing.T) {
	for processors, want := range map[int][2]int{0: {4, 4}, 1: {2, 1}, 2: {2, 1}, 3: {3, 2}, 4: {4, 3}, 5: {4, 4}, 64: {4, 4}} {
		if got := [2]int{streamJobs(processors, false), streamJobs(processors, true)}; got != want {
			t.Errorf("%d processors: %d streams, want %d", processors, got, want)
		}
	}
	a := address(t, pgserver.StartT(t, pgserver.Options{Major: 13}).URI("postgres"))
	source, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	var notes []string
	jobs := func(given, processors int) int {
		n, err := (&Streams{Jobs: given, Processors: processors, Emit: func(e plan.Event) { notes = append(notes, e.Message) }}).jobs(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mustExec(t, source.Session, "checkpoint") // what the start has left is written before
	if n := jobs(0, 2); n != 2 || len(notes) > 0 {
		t.Errorf("nobody writes: %d streams, %v", n, notes)
	}
	writer, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	mustExec(t, writer.Session, "create table public.t (i int)")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := writer.Exec(context.WithoutCancel(ctx), "insert into public.t values (1)"); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	defer func() { stop(); <-ended }()
	if n := jobs(0, 2); n != 1 || len(notes) != 1 || !strings.Contains(notes[0], "1 stream at a time instead of 2") {
		t.Errorf("somebody writes: %d streams, %v", n, notes)
	}
	if jobs(3, 2) != 3 || jobs(0, 8) != 4 || len(notes) != 1 {
		t.Errorf("asked for, or with processors to spare: %v", notes)
	}
}

// TestCommitted: whoever loses the connection at a commit must know what became of it, also while it is still under way.
func TestCommitted(t *testing.T) {
	a := address(t, pgserver.StartT(t, pgserver.Options{Major: 11}).URI("postgres"))
	open := func() *pg.Target {
		s, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	begin := func(s *pg.Target) string {
		rows, err := s.Script(t.Context(), "begin; select txid_current()")
		if err != nil {
			t.Fatal(err)
		}
		return rows[0][0]
	}
	writer, asker := open(), open()
	for end, want := range map[string]bool{"commit": true, "rollback": false} {
		id := begin(writer)
		asked := make(chan error, 1)
		var got bool
		go func() {
			var err error
			got, err = committed(t.Context(), asker, id)
			asked <- err
		}()
		select {
		case err := <-asked:
			t.Fatalf("%s: answered %v, %v while the transaction was open", end, got, err)
		case <-time.After(5 * poll):
		}
		mustExec(t, writer.Session, end)
		if err := <-asked; err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", end, got, err, want)
		}
	}
	orphan := begin(open()) // whose client is gone, which it does not know
	if got, err := (&stream{Streams: &Streams{Connect: connector{a}}}).asked(t.Context(), orphan); err != nil || got {
		t.Errorf("the orphan: %v, %v, want false", got, err)
	}
}

type connector struct{ target pg.Address }

func (c connector) OpenSource(context.Context) (*pg.Source, error) { return nil, errors.ErrUnsupported }

func (c connector) OpenTarget(ctx context.Context) (*pg.Target, error) {
	return pg.OpenTarget(ctx, c.target, pg.Options{Verb: "test"})
}

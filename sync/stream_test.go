package sync

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

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

package pgserver

import (
	"context"
	"testing"
)

// StartT starts a server for a test and stops it when the test ends. A failed
// test shows the end of the server's log. A test whose server programs are
// missing fails: a test that is skipped proves nothing.
func StartT(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			if log, err := s.Log(); err == nil {
				tb.Logf("end of the log of PostgreSQL %s on port %d:\n%s", s.Version, s.Port, lastLines(log, 50))
			}
		}
		if err := s.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// StartPgBouncerT starts a PgBouncer for a test, as StartT starts a server.
func StartPgBouncerT(tb testing.TB, o PgBouncerOptions) *PgBouncer {
	tb.Helper()
	p, err := StartPgBouncer(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			if log, err := p.Log(); err == nil {
				tb.Logf("end of the log of PgBouncer on port %d:\n%s", p.Port(), lastLines(log, 50))
			}
		}
		if err := p.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return p
}

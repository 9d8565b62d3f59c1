package journal

import (
	"errors"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

func open(t *testing.T, a pg.Address, verb string) *pg.Session {
	t.Helper()
	s, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: verb})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Session
}

func answers(t *testing.T, s *pg.Session) bool {
	var one int
	return s.QueryRow(t.Context(), "select 1").Scan(&one) == nil
}

// TestTakeEndsOnlyOrphans: what a killed pgleap left is ended; the session of an operator who is about to ask
// for the lock is not.
func TestTakeEndsOnlyOrphans(t *testing.T) {
	a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: 15}).URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	orphan, starting, holder := open(t, a, "sync"), open(t, a, "sync"+LockMark), open(t, a, "cutover"+LockMark)
	l, err := Take(t.Context(), holder, plan.Target)
	if err != nil {
		t.Fatal(err)
	}
	if answers(t, orphan) {
		t.Error("the session of a killed pgleap lives on")
	}
	if !answers(t, starting) {
		t.Error("the session of an operator who has just started was ended")
	}
	if err := l.Held(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = Take(t.Context(), starting, plan.Target)
	if plan.KindOf(err) != plan.KindLocked {
		t.Errorf("a second operator got the lock: %v", err)
	}
	var failure *plan.Failure
	if !errors.As(err, &failure) || !strings.Contains(failure.Error(), "pgleap/cutover as ") {
		t.Errorf("the holder is not named: %v", err)
	}
	if _, err := starting.Exec(t.Context(), "select pg_terminate_backend($1)", int(holder.PID())); err != nil {
		t.Fatal(err)
	}
	if err := l.Held(t.Context()); plan.KindOf(err) != plan.KindLocked {
		t.Errorf("the lock is called held, its session has ended: %v", err)
	}
}

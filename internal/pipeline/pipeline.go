package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// Config is what a verb needs to know.
type Config struct {
	Verb             string
	Tool             string // name and version, for the journal
	Source, Target   pg.Address
	SourceFromTarget pg.Address // where the target reaches the source; zero: at Source
	Run              plan.RunID
	Options          plan.Options
	PgDump           string // a command line; "" searches
	Emit             func(plan.Event)
	Log              *slog.Logger
	// Point is told at every instruction at which a test may want to die. Nil outside of tests.
	Point func(name string)
}

func (c Config) emit(e plan.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if c.Emit != nil {
		c.Emit(e)
	}
}

func (c Config) point(name string) {
	if c.Point != nil {
		c.Point(name)
	}
}

// conninfo is what the subscription connects with: timeouts of the role or the database on the source would
// end the first copy.
func (c Config) conninfo(v pg.Address) pg.Secret {
	return v.Conninfo(c.Run.Object(), map[string]string{"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"})
}

// reachedAt is the source's address as the target sees it.
func (c Config) reachedAt() pg.Address {
	if c.SourceFromTarget.IsZero() {
		return c.Source
	}
	return c.SourceFromTarget
}

// OpenSource and OpenTarget open sessions that may write.
func (c Config) OpenSource(ctx context.Context) (*pg.Source, error) {
	return pg.OpenSource(ctx, c.Source, pg.Options{Verb: c.Verb, Log: c.Log})
}

// OpenTarget opens a session on the target that may write.
func (c Config) OpenTarget(ctx context.Context) (*pg.Target, error) {
	return pg.OpenTarget(ctx, c.Target, pg.Options{Verb: c.Verb, Log: c.Log})
}

// run is an upgrade whose lock we hold.
type run struct {
	Config
	source  *pg.Source
	target  *pg.Target
	journal *journal.Journal
	locks   []*journal.Lock
	plan    plan.Plan
	sel     plan.Selection
}

// open connects to both sides and takes the run lock on each.
func (c Config) open(ctx context.Context) (*run, error) {
	r := &run{Config: c}
	if err := r.lock(ctx); err != nil {
		r.close()
		return nil, err
	}
	var err error
	if r.source, err = c.OpenSource(ctx); err != nil {
		r.close()
		return nil, err
	}
	if r.target, err = c.OpenTarget(ctx); err != nil {
		r.close()
		return nil, err
	}
	r.journal = journal.On(r.target, c.Run)
	return r, nil
}

// lock takes the run lock on both sides, on sessions of their own.
func (r *run) lock(ctx context.Context) error {
	s, err := r.OpenSource(ctx)
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, s.Session, plan.Source)); err != nil {
		s.Close()
		return err
	}
	t, err := r.OpenTarget(ctx)
	if err != nil {
		return err
	}
	if err := r.keep(journal.Take(ctx, t.Session, plan.Target)); err != nil {
		t.Close()
		return err
	}
	return nil
}

func (r *run) keep(l *journal.Lock, err error) error {
	if l != nil {
		r.locks = append(r.locks, l)
	}
	return err
}

func (r *run) close() {
	if r.source != nil {
		r.source.Close()
	}
	if r.target != nil {
		r.target.Close()
	}
	for _, l := range r.locks {
		l.Unlock()
	}
}

// load reads the run from the journal and makes sure that it is about these two servers.
func (r *run) load(ctx context.Context) (bool, error) {
	known, err := r.journal.Load(ctx)
	if err != nil || known == nil {
		return false, err
	}
	if known.Plan.Fingerprint() != known.Fingerprint {
		return false, plan.Fail(plan.KindDrift, "take the run back with pgleap abort, and begin again", "the plan in the journal is not the one that was begun: its fingerprint differs")
	}
	for _, side := range []struct {
		name    plan.Side
		q       pg.Querier
		planned string
	}{{plan.Source, r.source, known.SourceSystemID}, {plan.Target, r.target, known.TargetSystemID}} {
		var id string
		if err := side.q.QueryRow(ctx, `select system_identifier::text from pg_control_system()`).Scan(&id); err != nil {
			return false, fmt.Errorf("read the system identifier of the %s: %w", side.name, err)
		}
		if id != side.planned {
			return false, plan.Fail(plan.KindDrift, "give the addresses the run was begun with", "the %s is another server than the one run %s was begun with (system identifier %s instead of %s)", side.name, r.Run, id, side.planned)
		}
	}
	r.plan = known.Plan
	r.Options = known.Plan.Options
	r.sel, err = plan.Select(r.plan.Source, r.plan.Options)
	return true, err
}

// Interrupted tells whether err came of the operator's interrupt.
func Interrupted(err error) bool { return errors.Is(err, context.Canceled) }

// runOf reads the run's name from the comment on schema pgleap.
func runOf(comment string) string {
	for _, word := range strings.Fields(comment) {
		if name, ok := strings.CutPrefix(word, "run="); ok {
			return name
		}
	}
	return ""
}

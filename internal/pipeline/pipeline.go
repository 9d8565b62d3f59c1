package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pooler"
	"pgleap/internal/traffic"
	"pgleap/plan"
)

// Config is what a verb needs to know.
type Config struct {
	Verb             string
	Tool             string // name and version, for the journal
	Source, Target   pg.Address
	SourceFromTarget pg.Address // where the target reaches the source; zero: at Source
	TargetFromSource pg.Address // where the source reaches the target, for the way back; zero: at Target
	Run              plan.RunID
	Options          plan.Options
	PgDump           string // a command line; "" searches
	TrialLoad        TrialLoad
	Traffic          TrafficConfig
	Control          ControlConfig
	LateWrites       bool // finalize although somebody wrote to the old server behind the fence
	Emit             func(plan.Event)
	Log              *slog.Logger
	// Point is told at every instruction at which a test may want to die. Nil outside of tests.
	Point func(name string)
}

// TrialLoad says how much of the definitions a check loads into a scratch database of the target.
type TrialLoad string

// TrialAuto loads everything where that is a matter of seconds, and each shape once where it is not. The
// empty text is TrialNone.
const (
	TrialAuto TrialLoad = "auto"
	TrialFull TrialLoad = "full"
	TrialNone TrialLoad = "none"
)

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
	return v.Conninfo(c.Run.Object(), noTimeouts)
}

var noTimeouts = map[string]string{"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}

// reachedAt is the source's address as the target sees it.
func (c Config) reachedAt() pg.Address {
	if c.SourceFromTarget.IsZero() {
		return c.Source
	}
	return c.SourceFromTarget
}

// reachedBackAt is the target's address as the source sees it.
func (c Config) reachedBackAt() pg.Address {
	if c.TargetFromSource.IsZero() {
		return c.Target
	}
	return c.TargetFromSource
}

// OpenSource and OpenTarget open sessions that may write.
func (c Config) OpenSource(ctx context.Context) (*pg.Source, error) {
	return pg.OpenSource(ctx, c.Source, pg.Options{Verb: c.Verb, Log: c.Log})
}

// OpenTarget opens a session on the target that may write.
func (c Config) OpenTarget(ctx context.Context) (*pg.Target, error) {
	return pg.OpenTarget(ctx, c.Target, pg.Options{Verb: c.Verb, Log: c.Log})
}

// forLock are the options of a session that is to hold the run lock.
func (c Config) forLock() pg.Options { return pg.Options{Verb: c.Verb + journal.LockMark, Log: c.Log} }

// run is an upgrade whose lock we hold.
type run struct {
	Config
	source  *pg.Source
	target  *pg.Target
	journal *journal.Journal
	locks   []*journal.Lock
	plan    plan.Plan
	sel     plan.Selection
	lanes   []plan.Lane // that lead forward

	loading   *loading       // what is done beside a copy that goes on; nil where none does
	direction plan.Direction // of the switch; backward in what turned returns

	proof       *cutover.Proof // of the fence; nil until a switch is prepared
	switched    cutover.Result // of the switch that this process made
	definitions string         // of the source, as the switch found them
	control     *control       // of the switch that is being made
	walGuard    *walGuard      // while a sync walks
	reporter    *reporter
	moving      *traffic.Traffic        // of the switch that is being made
	saw         map[string]pooler.Stats // what the poolers' clients had seen before it
	stuck       error                   // clients that were let go on, and do not get through
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
	s, err := pg.OpenSource(ctx, r.Source, r.forLock())
	if err != nil {
		return err
	}
	t, err := pg.OpenTarget(ctx, r.Target, r.forLock())
	if err != nil {
		s.Close()
		return err
	}
	err = differ(ctx, s, t)
	if err == nil {
		err = r.heldFor(ctx, t, r.keep(journal.Take(ctx, s.Session, plan.Source)))
	}
	if err != nil {
		s.Close()
		t.Close()
		return err
	}
	if err := r.keep(journal.Take(ctx, t.Session, plan.Target)); err != nil {
		t.Close()
		return err
	}
	return nil
}

// heldFor adds to a refused run lock that its holder waits for the word, where it does.
func (r *run) heldFor(ctx context.Context, t *pg.Target, err error) error {
	var f *plan.Failure
	if plan.KindOf(err) != plan.KindLocked || !errors.As(err, &f) {
		return err
	}
	asked := &run{Config: r.Config, journal: journal.On(t, r.Run)}
	known, failed := asked.journal.Load(ctx)
	if failed != nil || known == nil {
		return err
	}
	held, failed := asked.heldSwitch(ctx)
	if failed != nil || held == nil || held.Given {
		return err
	}
	return plan.Fail(plan.KindLocked, "give it the word with "+held.Word()+", or "+f.Fix, "%w: %s", f.Err, held)
}

// differ refuses two addresses of one server before anything else: we would wait for our own lock.
func differ(ctx context.Context, s *pg.Source, t *pg.Target) error {
	ids := [2]string{}
	for i, q := range []pg.Querier{s, t} {
		var err error
		if ids[i], err = systemID(ctx, q); err != nil {
			return err
		}
	}
	if ids[0] != ids[1] {
		return nil
	}
	return plan.Fail(plan.KindBlocked, "give the address of the old server as --source and that of the new one as --target",
		"same-cluster: source and target are the same server, or one is a physical copy of the other (both have system identifier %s)", ids[0])
}

func systemID(ctx context.Context, q pg.Querier) (id string, err error) {
	if err = q.QueryRow(ctx, `select system_identifier::text from pg_control_system()`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the system identifier: %w", err)
	}
	return id, nil
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
		if side.name == plan.Source && r.source == nil { // it is lost for good
			continue
		}
		id, err := systemID(ctx, side.q)
		if err != nil {
			return false, fmt.Errorf("%s: %w", side.name, err)
		}
		if id != side.planned {
			return false, plan.Fail(plan.KindDrift, "give the addresses the run was begun with", "the %s is another server than the one run %s was begun with (system identifier %s instead of %s)", side.name, r.Run, id, side.planned)
		}
	}
	if planned := known.Plan.Source.Database; r.source != nil && planned != r.Source.Database() {
		return false, plan.Fail(plan.KindDrift, "give the addresses the run was begun with", "run %s was begun with database %q of the source, not with %q", r.Run, planned, r.Source.Database())
	}
	r.plan = known.Plan
	r.Options = known.Plan.Options
	r.sel, err = plan.Select(r.plan.Source, r.plan.Options)
	r.lanes = r.plan.LaneList(r.sel)
	return true, err
}

// origin is what the comment on schema pgleap says: whose it is, on which side it was made, and the system
// identifier of the other side's server.
type origin struct{ run, side, other string }

func readOrigin(ctx context.Context, q pg.Querier) (o origin, err error) {
	var comment string
	if err := q.QueryRow(ctx, `select coalesce(obj_description(to_regnamespace('pgleap'), 'pg_namespace'), '')`).Scan(&comment); err != nil {
		return o, fmt.Errorf("look for schema pgleap: %w", err)
	}
	for _, word := range strings.Fields(comment) {
		for key, value := range map[string]*string{"run=": &o.run, "side=": &o.side, "other=": &o.other} {
			if v, ok := strings.CutPrefix(word, key); ok {
				*value = v
			}
		}
	}
	return o, nil
}

// place looks at the marks of a run that the target has no journal of: with the addresses swapped, or with
// another target than the run's, nothing may be taken for missing and nothing be taken away.
func (r *run) place(ctx context.Context) (origin, error) {
	o, err := readOrigin(ctx, r.source)
	if err != nil {
		return o, err
	}
	if o.side == string(plan.Target) {
		return o, plan.Fail(plan.KindBlocked, "give the old server as --source and the new one as --target; nothing was changed",
			"the source %s has the journal of run %s, which stands on the target: are --source and --target swapped?", r.Source, o.run)
	}
	if r.target == nil || o.other == "" {
		return o, nil
	}
	id, err := systemID(ctx, r.target)
	if err == nil && id != o.other {
		err = plan.Fail(plan.KindDrift, "give the target that the run was begun with; if it is lost, run pgleap abort without a target (--target left out, PGLEAP_TARGET unset)",
			"run %s on the source was begun with another target (system identifier %s instead of %s)", o.run, id, o.other)
	}
	return o, err
}

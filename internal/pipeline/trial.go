package pipeline

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// autoStatements is how many statements --trial-load auto loads whole: about 750 tables with a sequence and two
// indexes each, a matter of two seconds. Every table costs the target five or six files: 2,000 such tables
// took 3 to 6 s on two cores, 10,000 took 22. Of more than that each shape is loaded once.
const autoStatements = 6_000

// severalSessions is from how many statements on a second session is worth its start.
const severalSessions = 2_000

// tryOut makes the trial load where it is asked for and can be made, and tries the way from the target to the source.
func (r *reader) tryOut(ctx context.Context, reason plan.NotTried) (*plan.TrialFacts, plan.Reach, error) {
	if r.trying() && reason == "" {
		if err := await(ctx, r.found); err != nil {
			return nil, plan.Reach{}, err
		}
		if r.findErr == nil {
			return r.trial(ctx)
		}
		reason = plan.NotTriedBlocked
	}
	reach, err := r.reach(ctx, r.Target)
	if !r.trying() {
		return nil, reach, err
	}
	return &plan.TrialFacts{NotTried: reason}, reach, err
}

// mayTry looks, before anything is made, whether a scratch database may and can be.
func (r *reader) mayTry(ctx context.Context) (plan.NotTried, error) {
	if r.target.Version().Major() < r.source.Version().Major() {
		return plan.NotTriedBlocked, nil // with the addresses swapped this is production
	}
	var createDB, recovery, begun bool
	err := r.target.QueryRow(ctx, `select rolsuper or rolcreatedb, pg_is_in_recovery(), to_regnamespace('pgleap') is not null from pg_roles where rolname = current_user`).
		Scan(&createDB, &recovery, &begun)
	switch {
	case err != nil:
		return "", err
	case recovery || begun || r.sameCluster(ctx):
		return plan.NotTriedBlocked, nil
	case !createDB:
		return plan.NotTriedCreateDB, nil
	}
	return "", nil
}

// sameCluster: a role that may not read the identifiers finds nothing here; the check of that name tells it.
func (r *reader) sameCluster(ctx context.Context) bool {
	source, err := systemID(ctx, r.source)
	if err != nil {
		return false
	}
	target, err := systemID(ctx, r.target)
	return err == nil && source == target
}

// trial makes the scratch database while the facts and the definitions are read, loads them, and drops it.
func (r *reader) trial(ctx context.Context) (facts *plan.TrialFacts, reach plan.Reach, err error) {
	begun := time.Now()
	s, err := r.makeScratch(ctx)
	if s != nil {
		defer func() {
			if dropErr := s.drop(ctx); dropErr != nil {
				r.Log.Warn(r.redact(dropErr.Error()) + "; drop it by hand, connected to another database of the target")
			}
			if facts != nil {
				facts.Seconds = time.Since(begun).Seconds()
			}
		}()
	}
	if err != nil {
		return r.notTried(ctx, err)
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		reach, err = r.reach(inner, s.at)
		return err
	})
	group.Go(func() (err error) {
		facts, err = r.load(inner, s)
		return err
	})
	err = group.Wait()
	return facts, reach, err
}

// notTried says why there was no trial load, and tries the way to the source without one. What went wrong is no
// reason to say nothing of all the rest.
func (r *reader) notTried(ctx context.Context, cause error) (*plan.TrialFacts, plan.Reach, error) {
	if ctx.Err() != nil {
		return nil, plan.Reach{}, ctx.Err()
	}
	reach, err := r.reach(ctx, r.Target)
	return &plan.TrialFacts{NotTried: plan.NotTriedFailed, Error: r.redact(pg.Message(cause))}, reach, err
}

// load waits for what is read meanwhile, and loads the definitions.
func (r *reader) load(ctx context.Context, s *scratch) (*plan.TrialFacts, error) {
	for _, ready := range []chan struct{}{r.sourceRead, r.targetRead, r.dumped} {
		if err := await(ctx, ready); err != nil {
			return nil, err
		}
	}
	sel, err := plan.Select(r.reading.Source, r.Options)
	switch {
	case r.reading.dumpErr != nil:
		return &plan.TrialFacts{NotTried: plan.NotTriedDump, Error: r.redact(r.reading.dumpErr.Error())}, nil
	case err != nil || r.reading.definitions == nil || r.reading.begun():
		return &plan.TrialFacts{NotTried: plan.NotTriedBlocked}, nil
	}
	all := r.reading.definitions.Entries
	facts := &plan.TrialFacts{Objects: len(all)}
	if r.sample != nil {
		all = r.sample.Entries
	}
	facts.Loaded = len(all)
	l := trialLoad{reader: r, scratch: s, sel: sel, entries: schema.Unprivileged(all, r.reading.Target, plan.Lodgers(r.reading.Source, sel))}
	if err := l.run(ctx, facts); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return &plan.TrialFacts{NotTried: plan.NotTriedFailed, Error: r.redact(pg.Message(err))}, nil
	}
	return facts, nil
}

// trialLoad is the load of one check.
type trialLoad struct {
	*reader
	scratch  *scratch
	sel      plan.Selection
	entries  []schema.Entry
	sessions []*pg.Target
}

func (l *trialLoad) run(ctx context.Context, facts *plan.TrialFacts) error {
	defer func() {
		for _, t := range l.sessions {
			t.Close()
		}
	}()
	if err := l.open(ctx); err != nil {
		return err
	}
	missing := l.missingRoles()
	refused, err := schema.Try(ctx, l.sessions, l.entries, l.matviews(), missing)
	if err != nil {
		return err
	}
	target, err := l.objectsOn(ctx, l.sessions[0])
	if err != nil {
		return err
	}
	if err := await(ctx, l.objectsRead); err != nil {
		return err
	}
	l.point("trial.loaded")
	facts.Failures = failures(refused)
	facts.Differences = differences(schema.Unexplained(schema.Compare(l.objects, target, l.sel, schema.KeptPublic(l.reading.Source, l.reading.Target)...), refused, missing))
	rates, err := l.measure(ctx, l.reading.Source, l.sessions[0])
	if err != nil {
		l.Log.Warn("speeds could not be measured: " + l.redact(pg.Message(err)))
	}
	facts.Rates = rates
	return ctx.Err()
}

// open opens the sessions that load, and sets the database up.
func (l *trialLoad) open(ctx context.Context) error {
	n := 1
	if len(l.entries) >= severalSessions {
		n = 2
	}
	for range n {
		t, err := l.scratch.openLoader(ctx)
		if err != nil {
			return err
		}
		l.sessions = append(l.sessions, t)
	}
	return l.scratch.likeTarget(ctx, l.sessions[0])
}

// matviews are those of the load.
func (l *trialLoad) matviews() []plan.Relation {
	if l.sample == nil {
		return l.sel.MatViews
	}
	return slices.DeleteFunc(slices.Clone(l.sel.MatViews), func(r plan.Relation) bool { return !slices.Contains(l.sample.Relations(), r.Name) })
}

// missingRoles stand in the definitions, and not on the target.
func (l *trialLoad) missingRoles() []string {
	return slices.DeleteFunc(slices.Clone(l.reading.Source.RolesUsed), func(r string) bool { return slices.Contains(l.reading.Target.Roles, r) })
}

// someNames are as many of the consequences as are told by name.
const someNames = 3

// failures gathers refusals under their first causes.
func failures(refused []schema.Refusal) []plan.TrialFailure {
	var out []plan.TrialFailure
	at := map[int]int{}
	counted := map[string]bool{}
	for i, r := range refused {
		if r.Follows < 0 {
			at[i] = len(out)
			f := plan.TrialFailure{Object: r.Object(), Statement: r.SQL, Code: r.Code, Message: r.Message, Hint: r.Hint, Role: r.Role()}
			if r.Entry.Type == "EXTENSION" {
				f.Extension = r.Entry.Name
			}
			out = append(out, f)
			counted[f.Object] = true
			continue
		}
		cause := &out[at[r.Follows]]
		if counted[r.Object()] { // the rest of the same object
			continue
		}
		counted[r.Object()] = true
		if cause.Needs++; len(cause.NeededBy) < someNames {
			cause.NeededBy = append(cause.NeededBy, r.Object())
		}
	}
	return out
}

// differences leaves out what a new database has by itself.
func differences(found []schema.Difference) []plan.TrialDifference {
	var out []plan.TrialDifference
	for _, d := range found {
		if d.Source == "" && d.Kind == "extension" {
			continue
		}
		out = append(out, plan.TrialDifference{Object: d.String(), Source: d.Source, Target: d.Target})
	}
	return out
}

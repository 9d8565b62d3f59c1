package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// reader reads both servers, and does side by side what does not wait for each other: the catalogs of both, the
// definitions, the making of the scratch database, and the way from the target to the source.
type reader struct {
	Config
	definitions bool // are to be read

	source  *pg.Source
	target  *pg.Target
	reading Reading
	program schema.Program
	findErr error // why there is no pg_dump

	// For the trial load: what of the definitions is loaded, nil for all of it, and what the source has of that.
	sample  *schema.Sample
	objects []catalog.Object

	sourceRead, targetRead, found, dumped, objectsRead chan struct{} // closed when each is there
}

func (r *reader) read(ctx context.Context) (Reading, error) {
	if err := r.open(ctx); err != nil {
		return r.reading, err
	}
	defer r.source.Close()
	defer r.target.Close()
	var reason plan.NotTried
	if r.trying() {
		var err error
		if reason, err = r.mayTry(ctx); err != nil {
			return r.reading, fmt.Errorf("read the target: %w", err)
		}
	}
	var trial *plan.TrialFacts
	var reach plan.Reach
	var back *plan.Reach
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return r.readSource(inner) })
	group.Go(func() error { return r.readTarget(inner) })
	group.Go(func() error { return r.dump(inner) })
	group.Go(func() error { return r.readObjects(inner, reason) })
	group.Go(func() (err error) {
		trial, reach, err = r.tryOut(inner, reason)
		return err
	})
	group.Go(func() (err error) {
		back, err = r.reachBack(inner)
		return err
	})
	err := group.Wait()
	r.reading.Target.ReachesSource, r.reading.Target.Trial, r.reading.Source.ReachesTarget = &reach, trial, back
	r.reading.Source.PgDump = &plan.PgDump{Command: strings.Join(r.program.Command, " "), Major: r.program.Major, Version: r.program.Version}
	if r.findErr != nil {
		r.reading.Source.PgDump = &plan.PgDump{Error: r.findErr.Error()}
	}
	if err == nil && r.reading.begun() {
		known, loadErr := journal.On(r.target, r.Run).Load(ctx)
		if loadErr == nil && known != nil {
			r.reading.Begun = &known.Plan.Options
		}
	}
	return r.reading, err
}

// open opens a reading session on each side.
func (r *reader) open(ctx context.Context) error {
	for _, ready := range []*chan struct{}{&r.sourceRead, &r.targetRead, &r.found, &r.dumped, &r.objectsRead} {
		*ready = make(chan struct{})
	}
	options := pg.Options{Verb: r.Verb, ReadOnly: true, Log: r.Log}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		r.source, err = pg.OpenSource(inner, r.Source, options)
		return err
	})
	group.Go(func() (err error) {
		r.target, err = pg.OpenTarget(inner, r.Target, options)
		return err
	})
	err := group.Wait()
	if err != nil && r.source != nil {
		r.source.Close()
	}
	if err != nil && r.target != nil {
		r.target.Close()
	}
	return err
}

func (r *reader) readSource(ctx context.Context) error {
	var settings map[string]plan.ServerSetting
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		settings, err = r.defaults(inner, r.Source)
		return err
	})
	group.Go(func() (err error) {
		r.reading.Source, err = catalog.Read(inner, r.source, plan.Source, r.Run)
		return err
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	r.reading.Source.Address = r.Source.HostPort()
	r.reading.Source.Cluster.Settings = settings
	if err := readMachine(ctx, r.source.Session, &r.reading.Source.Cluster); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	close(r.sourceRead)
	return nil
}

func (r *reader) readTarget(ctx context.Context) error {
	var settings map[string]plan.ServerSetting
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		settings, err = r.defaults(inner, r.Target)
		return err
	})
	group.Go(func() (err error) {
		r.reading.Target, err = catalog.Read(inner, r.target, plan.Target, r.Run)
		return err
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	r.reading.Target.Address = r.Target.HostPort()
	r.reading.Target.Cluster.Settings = settings
	if err := readMachine(ctx, r.target.Session, &r.reading.Target.Cluster); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	close(r.targetRead)
	return nil
}

// readMachine measures how far a server is, and reads what it has.
func readMachine(ctx context.Context, s *pg.Session, c *plan.ClusterFacts) (err error) {
	if c.RoundTrip, err = roundTrip(ctx, s); err != nil {
		return err
	}
	c.MemoryBytes, c.Processors = catalog.Machine(ctx, s, s.Version())
	return ctx.Err()
}

// dump finds a pg_dump, and reads the definitions where they are asked for. Whether it fails for a reason that the
// checks tell anyway is judged later.
func (r *reader) dump(ctx context.Context) error {
	defer close(r.dumped)
	r.program, r.findErr = schema.Find(ctx, r.PgDump, r.source.Version().Major())
	close(r.found)
	if r.findErr != nil || !r.definitions {
		return ctx.Err()
	}
	var sel plan.Selection
	if o := r.Options; len(o.Schemas)+len(o.Tables)+len(o.ExcludeTables) > 0 { // else nothing is left out, and nobody need wait
		if err := await(ctx, r.sourceRead); err != nil {
			return err
		}
		var err error
		if sel, err = plan.Select(r.reading.Source, o); err != nil {
			return nil // the caller says so
		}
	}
	d, err := schema.Dump(ctx, r.program, r.Source, sel)
	if err == nil {
		r.reading.definitions = &d
		if r.TrialLoad == TrialAuto && (len(d.Entries) > autoStatements || schema.CountStatements(d.Entries) > autoStatements) {
			sample := schema.SampleOf(d.Entries)
			r.sample = &sample
		}
	}
	r.reading.dumpErr = err
	return ctx.Err()
}

// readObjects reads the objects of the source that a trial load will be compared with, on a session of its own: it
// need not wait for the facts.
func (r *reader) readObjects(ctx context.Context, reason plan.NotTried) error {
	if err := await(ctx, r.dumped); err != nil || !r.trying() || reason != "" || r.reading.definitions == nil {
		return err
	}
	s, err := pg.OpenSource(ctx, r.Source, pg.Options{Verb: r.Verb, ReadOnly: true, Log: r.Log})
	if err != nil {
		return err
	}
	defer s.Close()
	if r.objects, err = r.objectsOn(ctx, s); err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	close(r.objectsRead)
	return nil
}

// objectsOn reads what is compared on one side.
func (r *reader) objectsOn(ctx context.Context, q pg.Querier) ([]catalog.Object, error) {
	if r.sample == nil {
		return catalog.Objects(ctx, q)
	}
	all, err := catalog.ObjectsOf(ctx, q, r.sample.Relations())
	return slices.DeleteFunc(all, func(o catalog.Object) bool { return !r.sample.Has(o) }), err
}

func await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package pipeline

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// Reading is what was read from both servers, and the pg_dump that was found.
type Reading struct {
	Source, Target plan.Facts
	program        schema.Program
}

// Read reads the facts of both servers. It changes nothing.
func Read(ctx context.Context, c Config) (Reading, error) {
	var r Reading
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		s, err := pg.OpenSource(inner, c.Source, pg.Options{Verb: c.Verb, ReadOnly: true, Log: c.Log})
		if err != nil {
			return err
		}
		defer s.Close()
		if r.Source, err = catalog.Read(inner, s, plan.Source, c.Run); err != nil {
			return fmt.Errorf("read the source: %w", err)
		}
		r.Source.Address = c.Source.HostPort()
		r.Source.Cluster.Settings, err = c.defaults(inner, c.Source)
		return err
	})
	group.Go(func() error {
		t, err := pg.OpenTarget(inner, c.Target, pg.Options{Verb: c.Verb, ReadOnly: true, Log: c.Log})
		if err != nil {
			return err
		}
		defer t.Close()
		if r.Target, err = catalog.Read(inner, t, plan.Target, c.Run); err != nil {
			return fmt.Errorf("read the target: %w", err)
		}
		r.Target.Address = c.Target.HostPort()
		r.Target.Cluster.Settings, err = c.defaults(inner, c.Target)
		return err
	})
	var reach plan.Reach
	group.Go(func() (err error) {
		reach, err = c.reach(inner)
		return err
	})
	err := group.Wait()
	r.Target.ReachesSource = &reach
	if err != nil {
		return r, err
	}
	if r.program, err = schema.Find(ctx, c.PgDump, r.Source.Version.Major()); err != nil {
		r.Source.PgDump = &plan.PgDump{Error: err.Error()}
		return r, nil
	}
	r.Source.PgDump = &plan.PgDump{Command: strings.Join(r.program.Command, " "), Major: r.program.Major, Version: r.program.Version}
	return r, nil
}

// defaults reads the settings of a session that asks for none: ours ask for many.
func (c Config) defaults(ctx context.Context, a pg.Address) (map[string]plan.ServerSetting, error) {
	s, err := pg.OpenClient(ctx, a, pg.Options{Verb: "pgleap/" + c.Verb, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return catalog.ReadDefaults(ctx, s)
}

// Make reads both servers and makes the plan. Where something blocks, the definitions may not even be
// readable: then the plan has findings and no stages.
func Make(ctx context.Context, c Config) (plan.Plan, error) {
	r, err := Read(ctx, c)
	if err != nil {
		return plan.Plan{}, err
	}
	return c.make(ctx, r)
}

func (c Config) make(ctx context.Context, r Reading) (plan.Plan, error) {
	sel, err := plan.Select(r.Source, c.Options)
	if err != nil {
		return plan.Plan{}, &plan.Failure{Kind: plan.KindUsage, Err: err}
	}
	p := plan.Plan{Format: plan.Format, Tool: c.Tool, Run: c.Run, Source: r.Source, Target: r.Target, Options: c.Options, Findings: plan.Check(r.Source, r.Target, c.Options)}
	if r.Source.PgDump.Error != "" {
		return p, nil
	}
	d, err := schema.Dump(ctx, r.program, c.Source, sel)
	if err != nil {
		if plan.Blocked(p.Findings) {
			return p, nil
		}
		return p, err
	}
	entries := schema.Unprivileged(d.Entries, r.Target, plan.Lodgers(r.Source, sel))
	return Build(c.Run, c.Tool, r.Source, r.Target, c.Options, sel, entries), nil
}

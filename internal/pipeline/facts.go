package pipeline

import (
	"context"
	"slices"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// Reading is what was read from both servers, and the pg_dump that was found.
type Reading struct {
	Source, Target plan.Facts
	definitions    *schema.Definitions // nil where they were not asked for, or could not be read
	dumpErr        error

	// Begun are the options of the run, where it has begun: whatever else is given comes too late.
	Begun *plan.Options
}

// OptionsFor returns what the findings are to be judged with.
func (r Reading) OptionsFor(given plan.Options) plan.Options {
	if r.Begun != nil {
		return *r.Begun
	}
	return given
}

// Read reads the facts of both servers, and with TrialLoad set loads the definitions for trial. It changes nothing
// outside of the scratch database, which is gone when it returns.
func Read(ctx context.Context, c Config) (Reading, error) {
	r := reader{Config: c, definitions: c.trying()}
	return r.read(ctx)
}

// Make reads both servers and makes the plan. Where something blocks, the definitions may not even be
// readable: then the plan has findings and no stages.
func Make(ctx context.Context, c Config) (plan.Plan, error) {
	r := reader{Config: c, definitions: true}
	reading, err := r.read(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	return c.make(reading)
}

func (c Config) make(r Reading) (plan.Plan, error) {
	sel, err := plan.Select(r.Source, c.Options)
	if err != nil {
		return plan.Plan{}, &plan.Failure{Kind: plan.KindUsage, Err: err}
	}
	if c.Options.Copy == "" {
		c.Options.Copy, c.Options.CopyWhy = plan.ChooseCopy(r.Source, r.Target, sel)
	}
	if c.Options.LateKeys == nil {
		c.Options.LateKeys = plan.ChooseLateKeys(r.Target, c.Options, sel)
	}
	if r.definitions != nil {
		return Build(c.Run, c.Tool, r.Source, r.Target, c.Options, sel, schema.Unprivileged(r.definitions.Entries, r.Target, plan.Lodgers(r.Source, sel))), nil
	}
	p := plan.Plan{Format: plan.Format, Tool: c.Tool, Run: c.Run, Source: r.Source, Target: r.Target, Options: c.Options, Findings: plan.Check(r.Source, r.Target, c.Options)}
	if r.dumpErr != nil && !plan.Blocked(p.Findings) {
		return p, r.dumpErr
	}
	return p, nil
}

// trying tells whether the definitions are to be loaded for trial.
func (c Config) trying() bool { return c.TrialLoad != "" && c.TrialLoad != TrialNone }

// begun tells whether the run has begun.
func (r Reading) begun() bool {
	own := func(l plan.Leftover) bool { return l.Own }
	return slices.ContainsFunc(r.Source.Leftovers, own) || slices.ContainsFunc(r.Target.Leftovers, own)
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

package pipeline

import (
	"context"

	"pgleap/plan"
)

// mirrored is c for the way back: the target is followed, and the source follows.
func (c Config) mirrored() Config {
	c.Source, c.Target = c.Target, c.Source
	c.SourceFromTarget, c.TargetFromSource = c.TargetFromSource, c.SourceFromTarget
	c.Run = c.Run.Back()
	return c
}

// reachBack tries for real whether the source reaches the target, as reach does the other way round: a subscription
// is made on the source in a transaction that is rolled back. Nil where something else stands in the way already, or
// nobody wants to go back.
func (r *reader) reachBack(ctx context.Context) (*plan.Reach, error) {
	for _, ready := range []chan struct{}{r.sourceRead, r.targetRead} {
		if err := await(ctx, ready); err != nil {
			return nil, err
		}
	}
	s, t := r.reading.Source, r.reading.Target
	strange := s.Recovery || s.SystemID != "" && s.SystemID == t.SystemID || t.Version.Major() < s.Version.Major()
	if r.Options.NoWayBack || strange || len(plan.WayBack(s, t, r.Options)) > 0 {
		return nil, nil
	}
	back := r.mirrored()
	reach, err := back.reach(ctx, back.Target)
	return &reach, err
}

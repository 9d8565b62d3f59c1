package pipeline

import (
	"context"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// turned is the run as a rollback sees it: the target is the side that is left, and the source takes over. The journal
// stays where it is. Its sessions are those of r.
func (r *run) turned() *run {
	t := *r
	t.direction = r.direction.Turned()
	t.Source, t.Target = r.Target, r.Source
	t.SourceFromTarget, t.TargetFromSource = r.TargetFromSource, r.SourceFromTarget
	t.source, t.target = &pg.Source{Session: r.target.Session}, &pg.Target{Session: r.source.Session}
	return &t
}

// carrying are the lanes that carry the rows in the run's direction. Back there is one.
func (r *run) carrying() []plan.Lane { return r.lanesIn(r.direction) }

func (r *run) lanesIn(d plan.Direction) []plan.Lane {
	if d == plan.Backward {
		return []plan.Lane{plan.Whole(d.Lane(r.Run), r.sel.Published)}
	}
	return r.lanes
}

// laneOf is the one that the step works on.
func (r *run) laneOf(s plan.Step) plan.Lane { return r.lanes[max(1, s.Lane)-1] }

// named says which lane it is about, where there are several.
func (r *run) named(l plan.Lane, text string) string {
	if text == "" || len(r.carrying()) == 1 {
		return text
	}
	return l.String() + ": " + text
}

// objects are the names of the lanes' publications, slots and subscriptions.
func objects(lanes []plan.Lane) []string {
	names := make([]string, len(lanes))
	for i, l := range lanes {
		names[i] = l.Object()
	}
	return names
}

func (r *run) switchStage() plan.Stage {
	id := plan.StageSwitch
	if r.direction == plan.Backward {
		id = plan.StageBackSwitch
	}
	stage, _ := r.plan.Stage(id)
	return stage
}

func (r *run) switchStep(id plan.StepID) plan.Step {
	stage := r.switchStage()
	step, _ := stage.Step(cutover.StageStep(stage, id))
	return step
}

func (r *run) releaseStage() plan.StageID {
	if r.direction == plan.Backward {
		return plan.StageBackRelease
	}
	return plan.StageRelease
}

// OpenSource and OpenTarget open sessions on the side that is left and on the one that takes over, which messages call
// by the names that the operator knows.
func (r *run) OpenSource(ctx context.Context) (*pg.Source, error) {
	return pg.OpenSource(ctx, r.Source, pg.Options{Verb: r.Verb, As: string(r.direction.From()), Log: r.Log})
}

// OpenTarget: see OpenSource.
func (r *run) OpenTarget(ctx context.Context) (*pg.Target, error) {
	return pg.OpenTarget(ctx, r.Target, pg.Options{Verb: r.Verb, As: string(r.direction.To()), Log: r.Log})
}

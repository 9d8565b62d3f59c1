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

// lane names what carries the rows in the run's direction.
func (r *run) lane() plan.RunID { return r.direction.Lane(r.Run) }

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

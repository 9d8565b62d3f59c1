package pipeline

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
)

// concurrentlyFrom is the size, on the source, from which a materialized view is refreshed concurrently: it takes
// longer, but whoever reads the target already goes on reading, and only the differences are written.
const concurrentlyFrom = 64 << 20

// refreshRate is how many bytes of a materialized view a refresh may be expected to make in a second, at least.
const refreshRate = 10 << 20

// refresh is the stage that each cutover walks before anybody has to wait. Nothing of it is remembered.
func refresh(views []plan.Relation) plan.Stage {
	stage := plan.Stage{
		ID: plan.StageRefresh, Title: fmt.Sprintf("refresh %d materialized views once more; each cutover does it anew", len(views)), Session: schema.SessionSettings(),
	}
	for _, v := range views {
		stage.Steps = append(stage.Steps, refreshStep("refresh.", v))
	}
	return stage
}

func refreshStep(prefix string, v plan.Relation) plan.Step {
	how, lock := "", "ACCESS EXCLUSIVE on "+v.Name.String()+", on the target"
	if v.Bytes >= concurrentlyFrom && v.UniqueIndex != "" {
		how, lock = "concurrently ", "EXCLUSIVE on "+v.Name.String()+", on the target: readers go on"
	}
	return plan.Step{
		ID: plan.StepID(plan.OneLine(prefix + v.Name.Schema + "." + v.Name.Name)), Title: "refresh materialized view " + plan.OneLine(v.Name.String()), On: plan.Target,
		Do:      plan.Action{SQL: "refresh materialized view " + how + v.Name.String()},
		Hazards: []plan.Hazard{plan.HazardLoad}, Lock: lock, Weight: v.Bytes,
		Estimate: &plan.Estimate{
			Seconds: float64(v.Bytes)/refreshRate + 0.01,
			Basis:   fmt.Sprintf("%s at %s/s; its query may take longer", plan.HumanBytes(v.Bytes), plan.HumanBytes(refreshRate)),
		},
	}
}

// refreshAnew carries out the stage, unless the fence stands: then clients may be on the target.
func (r *run) refreshAnew(ctx context.Context, stage plan.Stage) error {
	if fenced, err := r.fenced(ctx); err != nil || fenced {
		return err
	}
	t, err := r.openLoader(ctx, stage)
	if err != nil {
		return err
	}
	defer t.Close()
	for i, s := range stage.Steps {
		r.emit(plan.Event{Kind: plan.EventProgress, Stage: stage.ID, Step: s.ID, Message: s.Title, Data: map[string]any{"done": i, "of": len(stage.Steps)}})
		r.point(string(s.ID) + ".before")
		started := time.Now()
		if _, err := t.Exec(ctx, s.Do.SQL); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return plan.Fail(plan.KindNotReady, "mend the cause, then run pgleap cutover again",
				"the switch was not begun, writes were never stopped: %s: %s: %w", s.Title, pg.Message(err), err)
		}
		r.done(stage, s, started)
	}
	return nil
}

package sync

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Subscribe returns the stage that copies the rows and then follows the changes. All lanes begin before the first is waited
// for: they copy side by side. loaded are the steps that are done with a lane's tables as soon as their rows are there.
func Subscribe(lanes []plan.Lane, target plan.Facts, loaded func(plan.Lane) []plan.Step) plan.Stage {
	stage := plan.Stage{ID: plan.StageSubscribe, Title: "subscription: rows are copied, then followed"}
	for i, s := range subscribed(lanes[0], target) {
		for _, l := range lanes {
			stage.Steps = append(stage.Steps, l.Steps(subscribed(l, target)[i])...)
			if s.Do.Call == CallCopy {
				stage.Steps = append(stage.Steps, l.Steps(loaded(l)...)...)
			}
		}
	}
	return stage
}

// Streamed returns the stage that copies the rows in streams, and then follows the changes. keys are the steps behind a
// lane's rows: indexes, and the keys that replication finds rows by. One lane comes after the other: a snapshot that is lost costs that of its lane alone, and
// what is copied is followed while the next is. That each table is there is seen in the end.
func Streamed(lanes []plan.Lane, target plan.Facts, keys func(plan.Lane) []plan.Step) plan.Stage {
	stage := plan.Stage{ID: plan.StageSubscribe, Title: "rows are copied in streams, then followed"}
	var ready []plan.Step
	for _, l := range lanes {
		steps := l.Steps(streamed(l, target, keys(l))...)
		last := len(steps) - 1
		stage.Steps, ready = append(stage.Steps, steps[:last]...), append(ready, steps[last])
	}
	stage.Steps = append(slices.Concat(stage.Steps, ready), catchUpStep())
	return stage
}

// objects are the names of the lanes' publications, slots and subscriptions.
func objects(lanes []plan.Lane) []string {
	names := make([]string, len(lanes))
	for i, l := range lanes {
		names[i] = l.Object()
	}
	return names
}

// each are the steps that f makes for each lane, named for it.
func each(lanes []plan.Lane, f func(plan.RunID) plan.Step) (steps []plan.Step) {
	for _, l := range lanes {
		steps = append(steps, l.Steps(f(l.Run))...)
	}
	return steps
}

// DurableSteps are Durable for each lane.
func DurableSteps(lanes []plan.Lane) []plan.Step { return each(lanes, Durable) }

// FollowSteps enable the subscription of each lane behind a rollback.
func FollowSteps(id plan.StepID, lanes []plan.Lane, on plan.Side) []plan.Step {
	return each(lanes, func(lane plan.RunID) plan.Step { return FollowStep(id, lane, on) })
}

// UnpublishedLanes returns the names of those lanes' publications that the source does not have.
func UnpublishedLanes(ctx context.Context, source *pg.Source, lanes []plan.Lane) ([]string, error) {
	rows, err := source.Query(ctx, "select n from unnest($1::text[]) n where not exists (select from pg_publication where pubname = n) order by n", objects(lanes))
	if err != nil {
		return nil, fmt.Errorf("look for the publications: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for the publications: %w", err)
	}
	return missing, nil
}

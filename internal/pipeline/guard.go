package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// guardTold is after how many tables the progress is told.
const guardTold = 100

// guard makes the triggers of the step, each in a transaction of its own: nobody waits for all of them. Those that
// are there already stay.
func (r *run) guard(ctx context.Context, s plan.Step) error {
	return r.oneByOne(ctx, s, plan.Statements(s.Do.SQL), pg.CodeExists)
}

// unguard drops the fence's triggers on the step's side, whatever made them.
func (r *run) unguard(ctx context.Context, s plan.Step) error {
	rows, err := r.session(s.On).Query(ctx, cutover.GuardsStatement)
	if err != nil {
		return fmt.Errorf("look for the fence's triggers: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for the fence's triggers: %w", err)
	}
	return r.oneByOne(ctx, s, statements, pg.CodeUndefined)
}

// oneByOne sends each statement by itself; one that the server answers with SQLSTATE done is none too many.
func (r *run) oneByOne(ctx context.Context, s plan.Step, statements []string, done string) error {
	for i, statement := range statements {
		if err := r.alterBriefly(ctx, r.session(s.On), s.ID, statement); err != nil && pg.Code(err) != done {
			return err
		}
		r.point(string(s.ID) + ".table")
		if i%guardTold == guardTold-1 {
			r.emit(plan.Event{Kind: plan.EventProgress, Step: s.ID, Message: s.Title, Data: map[string]any{"done": i + 1, "of": len(statements)}})
		}
	}
	return nil
}

// session is the run's session on a side.
func (r *run) session(on plan.Side) *pg.Session {
	if on == plan.Source {
		return r.source.Session
	}
	return r.target.Session
}

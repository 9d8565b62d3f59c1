package schema

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Load sends a step's statements in one round trip, within the caller's transaction or as one of their own. The
// error is a *plan.StepError that names the statement that failed. The session must have had SessionSettings.
func Load(ctx context.Context, t *pg.Target, stage plan.StageID, step plan.Step) error {
	done, err := t.ExecEach(ctx, Statements(step))
	if err == nil {
		return nil
	}
	return explain(stage, step, done, err)
}

// Statements are the single statements of a step, without semicolons and without the lines that name their
// objects: what Session.ExecEach takes, so that it can say how many were carried out.
func Statements(step plan.Step) []string {
	list := located(step.Do.SQL)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.sql
	}
	return out
}

// Explain makes a *plan.StepError of the error that Session.Exec(step.Do.SQL) gave: it finds the failing
// statement by the position in the server's error. Load knows the statement without one, use it where it can be.
func Explain(stage plan.StageID, step plan.Step, err error) error {
	position := pg.Position(err)
	for _, s := range located(step.Do.SQL) {
		start := utf8.RuneCountInString(step.Do.SQL[:s.start])
		if end := start + utf8.RuneCountInString(s.sql); position > start && position <= end+1 {
			return stepError(stage, step, s, position-start, err)
		}
	}
	if list := located(step.Do.SQL); len(list) == 1 {
		return stepError(stage, step, list[0], 0, err)
	}
	return stepError(stage, step, statement{}, 0, err)
}

// explain is for an error of ExecEach: done statements were carried out. A syntax error comes before the first
// of them is, but it has a position; the position counts characters of all that was sent.
func explain(stage plan.StageID, step plan.Step, done int, err error) error {
	list := located(step.Do.SQL)
	start, position := 0, pg.Position(err)
	for _, s := range list {
		end := start + utf8.RuneCountInString(s.sql)
		if position > start && position <= end+1 {
			return stepError(stage, step, s, position-start, err)
		}
		start = end + len(";\n")
	}
	if position == 0 && pg.Code(err) != "" && done < len(list) {
		return stepError(stage, step, list[done], 0, err)
	}
	return stepError(stage, step, statement{}, 0, err)
}

// statement is a single statement of a step.
type statement struct {
	object string // as the line above its entry names it
	sql    string
	start  int // bytes from the start of the step's SQL
}

// located cuts a step's SQL into statements; a comment line at the top level names the object of those that follow.
func located(sql string) []statement {
	list := tokens(sql)
	var out []statement
	object, next := "", 0
	for _, s := range statements(sql) {
		for ; next < len(list) && list[next].start < s.start; next++ {
			if c := sql[list[next].start:list[next].end]; list[next].kind == tokenComment && strings.HasPrefix(c, "-- ") {
				object = c[len("-- "):]
			}
		}
		for next < len(list) && list[next].start < s.end { // comments within a statement name nothing
			next++
		}
		out = append(out, statement{object, sql[s.start:s.end], s.start})
	}
	return out
}

func stepError(stage plan.StageID, step plan.Step, s statement, position int, err error) error {
	if ctxErr := firstOf(err, context.Canceled, context.DeadlineExceeded); ctxErr != nil {
		return fmt.Errorf("%s, step %s: %w", stage, step.ID, ctxErr)
	}
	return &plan.StepError{
		Stage: stage, Step: step.ID, On: step.On, Object: lowerKind(s.object), SQL: s.sql, Position: position,
		Err: &serverError{err}, Hint: hint(stage, err),
	}
}

var kindAndName = regexp.MustCompile(`^[A-Z]+(?: (?:on )?[A-Z]+)* `)

// lowerKind writes "FK CONSTRAINT public.orders x" as it stands in a sentence.
func lowerKind(label string) string { return kindAndName.ReplaceAllStringFunc(label, strings.ToLower) }

func firstOf(err error, causes ...error) error {
	for _, c := range causes {
		if errors.Is(err, c) {
			return err
		}
	}
	return nil
}

// serverError shows the server's own words and keeps the cause.
type serverError struct{ err error }

func (e *serverError) Error() string { return pg.Message(e.err) }
func (e *serverError) Unwrap() error { return e.err }

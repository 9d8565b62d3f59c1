package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/cutover"
	"pgleap/internal/pg"
	"pgleap/plan"
)

const (
	stepLargeObjects plan.StepID = "finish.large-objects"

	callLateLargeObjects = "late-large-objects"
)

// withLargeObjects adds the tables by which copied large objects are remembered. Its undo takes away whatever an
// attempt that was undone has copied: what the application has made is another thing.
func withLargeObjects(stage plan.Stage, o plan.Options) plan.Stage {
	if !o.CopyInSwitch {
		return stage
	}
	stage.Steps = append(stage.Steps, plan.Step{
		ID: stepLargeObjects, Title: "make the tables that large objects are copied through", On: plan.Target,
		Why:   "the switch copies them while writes stand still; what it has copied is remembered, so that it can be taken back",
		Probe: "select case when to_regclass('pgleap.large_object') is null then 'absent' else 'done' end",
		Do:    plan.Action{SQL: cutover.LargeObjectTables},
		Undo:  plan.Action{SQL: cutover.UnlinkStatement},
	})
	return stage
}

// withCopied adds what can be done for copied objects only once they are there: behind the release, where nobody
// waits for it.
func withCopied(stage plan.Stage, source plan.Facts, sel plan.Selection, o plan.Options) plan.Stage {
	if !o.CopyInSwitch {
		return stage
	}
	stage.Steps = append(stage.Steps, plan.Step{
		ID: "release.large-objects", Title: "look whether large objects were changed on the old server after the copy", On: plan.Target,
		Why:      "no trigger can fence them: a client that is still connected may write to one, though nothing that refers to it",
		Recorded: true, Do: plan.Action{Call: callLateLargeObjects, SQL: cutover.LargeObjectDigests(source) + ";\n" + copiedPieces},
	})
	copied := sel.InSwitch(o)
	for _, r := range copied {
		stage.Steps = append(stage.Steps, plan.Step{
			ID: plan.StepID(plan.OneLine("release.analyze." + r.Name.Schema + "." + r.Name.Name)), Title: "analyze " + plan.OneLine(r.Name.String()), On: plan.Target,
			Why:      "it was empty until the switch",
			Recorded: true, Do: plan.Action{SQL: "analyze " + r.Name.String()}, Batch: batchAnalyze, Weight: r.Bytes,
		})
	}
	for _, v := range populated(sel.MatViews) {
		if builtOn(source, v.Name, copied) {
			s := refreshStep("release.refresh.", v)
			s.Why, s.Recorded = "it is built on tables that were empty until the switch", true
			s.Notice = "readers of it wait meanwhile, and saw it without those rows until then"
			stage.Steps = append(stage.Steps, s)
		}
	}
	return stage
}

// builtOn tells whether the view reads any of the tables, through other views too.
func builtOn(source plan.Facts, view plan.Name, tables []plan.Relation) bool {
	uses := map[plan.Name][]plan.Name{}
	for _, r := range source.Relations {
		uses[r.Name] = r.Uses
	}
	seen := map[plan.Name]bool{}
	var reads func(plan.Name) bool
	reads = func(n plan.Name) bool {
		if seen[n] {
			return false
		}
		seen[n] = true
		return slices.ContainsFunc(tables, func(t plan.Relation) bool { return t.Under(n) }) || slices.ContainsFunc(uses[n], reads)
	}
	return reads(view)
}

// copiedPieces reads what was copied; the comparison is by digest, or it would bring everything over here.
const copiedPieces = `select id::int8, n, md5(data) from pgleap.large_object_piece`

// lateLargeObjects tells of large objects that are not on the old server any more as they were copied. Then the
// copies' staging is not needed any more.
func (r *run) lateLargeObjects(ctx context.Context, s plan.Step) error {
	statements := plan.Statements(s.Do.SQL)
	now, err := readPieces(ctx, r.source, statements[0])
	if err != nil {
		return fmt.Errorf("read the large objects of the source: %w", err)
	}
	then, err := readPieces(ctx, r.target, statements[1])
	if err != nil {
		return fmt.Errorf("read the copied large objects: %w", err)
	}
	if late := differingObjects(then, now); len(late) > 0 {
		r.emit(plan.Event{
			Kind: plan.EventNote, Stage: plan.StageRelease, Data: map[string]any{"large_objects": len(late)},
			Message: fmt.Sprintf("%d large objects were made, changed or removed on the old server after the copy: %s. That is not on the new server; a client is still connected to the old one", len(late), someOf(late)),
		})
	}
	if _, err := r.target.Exec(ctx, "drop table pgleap.large_object_piece, pgleap.large_object"); err != nil {
		return fmt.Errorf("drop the tables that large objects were copied through: %w", err)
	}
	return nil
}

// piece is a part of a large object.
type piece struct {
	id int64
	n  int
}

func readPieces(ctx context.Context, q pg.Querier, sql string) (map[piece]string, error) {
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	out := map[piece]string{}
	var p piece
	var digest string
	_, err = pgx.ForEachRow(rows, []any{&p.id, &p.n, &digest}, func() error {
		out[p] = digest
		return nil
	})
	return out, err
}

// differingObjects names the large objects whose pieces differ, in order.
func differingObjects(a, b map[piece]string) []string {
	ids := map[int64]bool{}
	for _, pair := range [][2]map[piece]string{{a, b}, {b, a}} {
		for p, digest := range pair[0] {
			if other, there := pair[1][p]; !there || other != digest {
				ids[p.id] = true
			}
		}
	}
	var names []string
	for id := range ids {
		names = append(names, strconv.FormatInt(id, 10))
	}
	slices.SortFunc(names, func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
	return names
}

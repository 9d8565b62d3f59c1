package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

const (
	stepFilenodes plan.StepID = "publish.filenodes"
	stepSlot      plan.StepID = "publish.slot"

	callFilenodes = "remember-filenodes"
)

// withFilenodes puts a step before the slot that remembers the file of every published table, where TRUNCATE
// does not travel: a table that is truncated gets a new file, and only so can it be told. Before the slot,
// because a file remembered later could already be the new one of a table whose old rows were sent.
func withFilenodes(lanes []plan.Lane, v pgver.Version, stage plan.Stage) plan.Stage {
	if v.Has(pgver.PublishTruncate) {
		return stage
	}
	at := slices.IndexFunc(stage.Steps, func(s plan.Step) bool { return s.ID == stepSlot })
	if at < 0 { // the copy makes it
		at = len(stage.Steps)
	}
	stage.Steps = slices.Insert(stage.Steps, at, plan.Step{
		ID: stepFilenodes, Title: "remember the file of every published table", On: plan.Source, Recorded: true,
		Why: "this server does not publish TRUNCATE: the truncated rows would stay on the target. Cutover refuses when a table has another file",
		Do:  plan.Action{Call: callFilenodes, SQL: filenodesStatement(lanes)}, ByHand: filenodesByHand(lanes), Notice: noticeReads,
	})
	return stage
}

// Not through pg_publication_tables, whose time grows with the square of the number of tables.
func filenodesStatement(lanes []plan.Lane) string {
	in := "= " + plan.QuoteLiteral(lanes[0].Object())
	if len(lanes) > 1 {
		names := make([]string, len(lanes))
		for i, l := range lanes {
			names[i] = plan.QuoteLiteral(l.Object())
		}
		in = "in (" + strings.Join(names, ", ") + ")"
	}
	return `select n.nspname, c.relname, coalesce(pg_relation_filenode(c.oid), 0)::int8
from pg_publication p cross join lateral pg_get_publication_tables(p.pubname) t join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
where p.pubname ` + in + ` and n.nspname <> 'pgleap' order by 1, 2`
}

// filenode is the file that holds a table's rows.
type filenode struct {
	Table plan.Name `json:"table"`
	File  int64     `json:"file"`
}

func readFilenodes(ctx context.Context, q pg.Querier, statement string) ([]filenode, error) {
	rows, err := q.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("read the files of the published tables: %w", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f filenode, err error) {
		return f, row.Scan(&f.Table.Schema, &f.Table.Name, &f.File)
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of the published tables: %w", err)
	}
	return files, nil
}

func (r *run) rememberFilenodes(ctx context.Context, s plan.Step) error {
	files, err := readFilenodes(ctx, r.source, s.Do.SQL)
	if err != nil {
		return err
	}
	return r.journal.Record(ctx, journal.Before, plan.StagePublish, s.ID, files)
}

// filenodesUnchanged refuses when a published table has another file than before the slot: it was truncated, or
// rewritten, which cannot be told apart. q is a session on the source. Where TRUNCATE is published it asks nothing.
func (r *run) filenodesUnchanged(ctx context.Context, q pg.Querier) error {
	remembered, statement := stepBackFiles, filenodesStatement(r.carrying())
	if r.direction == plan.Forward {
		stage, _ := r.plan.Stage(plan.StagePublish)
		step, _ := stage.Step(stepFilenodes)
		remembered, statement = step.ID, step.Do.SQL
	}
	if r.plan.Source.Version.Has(pgver.PublishTruncate) {
		return nil
	}
	var before []filenode
	if found, err := r.journal.Data(ctx, journal.Before, remembered, &before); err != nil {
		return err
	} else if !found {
		return fmt.Errorf("the journal does not hold what step %s has remembered", remembered)
	}
	now, err := readFilenodes(ctx, q, statement)
	if err != nil {
		return err
	}
	files := map[plan.Name]int64{}
	for _, f := range now {
		files[f.Table] = f.File
	}
	var changed []string
	for _, f := range before {
		if files[f.Table] != f.File {
			changed = append(changed, plan.OneLine(f.Table.String()))
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return plan.Fail(plan.KindDrift, r.anew()+"; and do without these commands until the cutover is over",
		r.direction.Words("%s of the source got another file since the run was begun: %s\nTRUNCATE does that, and PostgreSQL %d does not replicate it: the target would keep the rows. VACUUM FULL, CLUSTER and a rewriting ALTER TABLE do it too, and cannot be told from it"),
		plan.Plural(len(changed), "table"), someOf(changed), r.plan.Source.Version.Major())
}

// someOf names the first twenty.
func someOf(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

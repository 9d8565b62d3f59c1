package sync

import (
	"context"
	"fmt"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// file tells a table's file from every later one, and its columns' definitions from every later ones.
type file struct {
	number  int64
	columns string
}

// readFiles reads them as they are at this moment, whatever snapshot the session has.
func readFiles(ctx context.Context, source *pg.Source, tables []plan.Relation) (map[plan.Name]file, error) {
	return readEach(ctx, source, tables, "which files the tables have", `coalesce(pg_relation_filenode(c.oid), 0)::int8,
  c.relam::text || (select string_agg(a.attnum || ':' || a.xmin::text, ',' order by a.attnum) from pg_attribute a where a.attrelid = c.oid)`,
		func(f *file) []any { return []any{&f.number, &f.columns} })
}

// complete makes sure that the table, whose last part was p, had one file from before the snapshot on until all of it was
// read. Between its parts nothing locks it. What a snapshot shows of a table with a new file:
//
//   - TRUNCATE: nothing any more. The slot gives the TRUNCATE, and what came behind it: right, whatever was read (a source
//     that does not publish it is refused at the switch).
//   - VACUUM FULL, CLUSTER: every row, in another place. Right for a table that was read in one go; of parts by ctid some
//     rows would come twice, and others not at all.
//   - ALTER TABLE that rewrites: nothing, and no slot gives those rows again. They are in no copy at this snapshot.
func (w *stream) complete(ctx context.Context, p part) error {
	before := w.work.files[p.table.Name]
	for {
		if err := w.open(ctx); err != nil {
			return err
		}
		now, err := readFiles(ctx, w.from, []plan.Relation{p.table})
		if err != nil {
			return err
		}
		after, there := now[p.table.Name]
		switch {
		case !there, after.columns != before.columns && after.number != before.number:
			return plan.Fail(plan.KindDrift, "pgleap abort, then pgleap sync", "table %s was dropped, or rewritten by ALTER TABLE, while it was copied: its rows are not in the snapshot any more", plan.OneLine(p.table.Name.String()))
		case after.number == before.number || p.where == "":
			return nil
		}
		w.Emit(plan.Event{Kind: plan.EventNote, Step: w.Step.ID, Message: plan.OneLine(p.table.Name.String()) + " got another file (TRUNCATE, VACUUM FULL or CLUSTER) while its parts were copied: it is copied anew, in one go"})
		if err := w.Watched(ctx, nil, w.to, func() error {
			_, err := w.to.Exec(ctx, "truncate only "+p.table.Name.String())
			return err
		}); err != nil {
			return fmt.Errorf("empty %s on the target: %w", p.table.Name, err)
		}
		w.work.bytes.Add(-p.whole)
		p.where, p.bytes, before = "", p.whole, after
		if err := w.carry(ctx, p); err != nil {
			return err
		}
	}
}

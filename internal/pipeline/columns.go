package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// missingColumns returns what the published tables of the source have and the target has not. Whatever has no
// column of its own on the source is not looked at: apply needs columns only.
func missingColumns(ctx context.Context, s *pg.Source, t *pg.Target) ([]column, error) {
	generated := ""
	if s.Version().Has(pgver.GeneratedColumns) {
		generated = " and a.attgenerated = ''"
	}
	rows, err := s.Query(ctx, `select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_publication_tables p join pg_namespace n on n.nspname = p.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`+generated+`
where p.pubname like 'pgleap\_%' order by 1, 2, a.attnum`)
	if err != nil {
		return nil, fmt.Errorf("read the columns of the source: %w", err)
	}
	wanted, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (c column, err error) {
		return c, r.Scan(&c.table.Schema, &c.table.Name, &c.column, &c.kind)
	})
	if err != nil {
		return nil, fmt.Errorf("read the columns of the source: %w", err)
	}
	there, tables, err := targetColumns(ctx, t)
	if err != nil {
		return nil, err
	}
	var missing []column
	for _, c := range wanted {
		switch {
		case !tables[c.table]:
			missing = append(missing, column{table: c.table})
			tables[c.table] = true // named once
		case !there[column{table: c.table, column: c.column}] && !gone(missing, c.table):
			missing = append(missing, c)
		}
	}
	return missing, nil
}

// gone tells whether the whole table is missing already.
func gone(missing []column, table plan.Name) bool {
	for _, m := range missing {
		if m.table == table && m.column == "" {
			return true
		}
	}
	return false
}

func targetColumns(ctx context.Context, t *pg.Target) (map[column]bool, map[plan.Name]bool, error) {
	rows, err := t.Query(ctx, `select n.nspname, c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`)
	if err != nil {
		return nil, nil, fmt.Errorf("read the columns of the target: %w", err)
	}
	there, tables := map[column]bool{}, map[plan.Name]bool{}
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table.Schema, &c.table.Name, &c.column); err != nil {
			rows.Close()
			return nil, nil, fmt.Errorf("read the columns of the target: %w", err)
		}
		there[c], tables[c.table] = true, true
	}
	return there, tables, rows.Err()
}

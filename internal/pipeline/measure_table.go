package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// sampleSchema stands only in transactions that are rolled back.
const sampleSchema = "pgleap_sample"

// table measures one table on the first sessions: copy with the primary key in place, as the first copy does
// it, then each index, a foreign key and ANALYZE.
func (m *meter) table(ctx context.Context, s sample) error {
	t := m.targets[0]
	if err := m.prepare(ctx, t, s, 0); err != nil {
		return err
	}
	defer t.Rollback()
	began := time.Now()
	rows, err := m.fill(ctx, 0, s)
	if err != nil || rows == 0 {
		return err
	}
	rate := plan.TableRate{Table: s.Name, Rows: rows, Copy: time.Since(began).Seconds()}
	if err := t.QueryRow(ctx, "select pg_table_size('"+sampleTable(0)+"'::regclass)").Scan(&rate.Bytes); err != nil {
		return fmt.Errorf("read the size of the sample: %w", err)
	}
	m.rates.Tables = append(m.rates.Tables, rate)
	// In the order of the walk: a foreign key is checked before there are statistics.
	if err := m.indexes(ctx, t, s); err != nil {
		return err
	}
	if err := m.foreignKey(ctx, t, s, rows); err != nil {
		return err
	}
	m.rates.Tables[len(m.rates.Tables)-1].Analyze, err = timed(ctx, t, "analyze "+sampleTable(0))
	return err
}

// foreignKey lets the table refer to itself. The sample with the most rows counts: a few show only what a
// statement costs.
func (m *meter) foreignKey(ctx context.Context, t *pg.Target, s sample, rows int64) error {
	if s.keyColumns == "" || rows <= max(m.keyRows, plan.TellingRows) {
		return nil
	}
	var took [3]float64
	for i := range took {
		var err error
		if took[i], err = timed(ctx, t, "alter table "+sampleTable(0)+" add foreign key ("+s.keyColumns+") references "+sampleTable(0)); err != nil {
			return err
		}
	}
	slices.Sort(took[:])
	m.keyRows, m.rates.KeyRow = rows, took[1]/float64(2*rows)
	return nil
}

func (m *meter) indexes(ctx context.Context, t *pg.Target, s sample) error {
	for _, i := range s.indexes {
		unique := ""
		if i.unique {
			unique = "unique "
		}
		took, err := timed(ctx, t, "create "+unique+"index on "+sampleTable(0)+" using "+i.rest)
		if err != nil {
			return fmt.Errorf("index %s: %w", i.name, err)
		}
		m.rates.Indexes = append(m.rates.Indexes, plan.IndexRate{Index: i.name, Table: s.Name, Method: i.method, Seconds: took})
	}
	return nil
}

func timed(ctx context.Context, t *pg.Target, sql string) (float64, error) {
	began := time.Now()
	_, err := t.Exec(ctx, sql)
	return time.Since(began).Seconds(), err
}

// sampleTable is the name of the sample of a session: side by side they must not wait for each other.
func sampleTable(session int) string { return fmt.Sprintf("%s_%d.sample", sampleSchema, session) }

// quietLog keeps what the server says about a row out of its log, where we may.
const quietLog = `select set_config('log_min_messages', 'panic', true) from pg_roles where rolname = current_user and rolsuper`

// prepare begins a transaction and makes the empty table in it. Checks stay away: what is not valid on the
// source could not be copied.
func (m *meter) prepare(ctx context.Context, t *pg.Target, s sample, session int) error {
	name := sampleTable(session)
	statements := []string{
		"begin", "set local row_security = off", quietLog, "create schema " + strings.TrimSuffix(name, ".sample"),
		"create table " + name + " (like " + s.Name.String() + " including all excluding indexes excluding constraints excluding defaults excluding identity excluding comments)",
	}
	if s.primaryKey != "" {
		statements = append(statements, "alter table "+name+" add "+s.primaryKey)
	}
	if _, err := t.ExecEach(ctx, statements); err != nil {
		_ = t.Rollback() // the cause is what counts
		return fmt.Errorf("make a sample of %s: %w", s.Name, err)
	}
	return nil
}

// fill pipes the first rows of the table into the sample.
func (m *meter) fill(ctx context.Context, session int, s sample) (int64, error) {
	rows, _, err := pg.Pipe(ctx, m.sources[session], m.targets[session], fmt.Sprintf("copy (select %s from only %s limit %d) to stdout", s.columns, s.Name, s.rows),
		"copy "+sampleTable(session)+" ("+s.columns+") from stdin", nil)
	if err != nil {
		return 0, fmt.Errorf("copy a sample of %s: %w", s.Name, err)
	}
	return rows, nil
}

// definitions reads the keys and indexes of tables as they are in the scratch database. Replication needs no
// other index while rows are copied.
func (m *meter) definitions(ctx context.Context, tables []plan.Relation) (map[plan.Name]sample, error) {
	var schemas, names []string
	for _, t := range tables {
		schemas, names = append(schemas, t.Name.Schema), append(names, t.Name.Name)
	}
	rows, err := m.targets[0].Query(ctx, sampleQuery, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read the definitions for the samples: %w", err)
	}
	out := map[plan.Name]sample{}
	var table plan.Name
	var key, columns, index, method, rest string
	var unique bool
	_, err = pgx.ForEachRow(rows, []any{&table.Schema, &table.Name, &key, &columns, &index, &method, &rest, &unique}, func() error {
		s := out[table]
		switch {
		case key != "":
			s.primaryKey, s.keyColumns = key, columns
		case index != "":
			s.indexes = append(s.indexes, sampleIndex{plan.Name{Schema: table.Schema, Name: index}, method, rest, unique})
		}
		out[table] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the definitions for the samples: %w", err)
	}
	return out, nil
}

// sampleQuery gives one row per index of the wanted tables, or one without an index. pg_get_indexdef begins
// with names that are not those of the sample: they are cut off by their length.
const sampleQuery = `select n.nspname::text, c.relname::text,
  case when i.indisprimary then pg_get_constraintdef(k.oid) else '' end,
  case when i.indisprimary then (select string_agg(quote_ident(a.attname), ', ' order by u.at) from unnest(k.conkey) with ordinality u(num, at)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = u.num) else '' end,
  coalesce(x.relname::text, ''), coalesce(m.amname::text, ''),
  coalesce(substr(pg_get_indexdef(x.oid), length(format('CREATE %sINDEX %I ON %I.%I USING ', case when i.indisunique then 'UNIQUE ' else '' end, x.relname, n.nspname, c.relname)) + 1), ''),
  coalesce(i.indisunique, false)
from unnest($1::text[], $2::text[]) w(schema, name)
join pg_namespace n on n.nspname = w.schema join pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind = 'r'
left join pg_index i on i.indrelid = c.oid left join pg_class x on x.oid = i.indexrelid left join pg_am m on m.oid = x.relam
left join pg_constraint k on k.conindid = x.oid and k.contype = 'p' and k.conrelid = c.oid
order by 1, 2, 5`

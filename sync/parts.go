package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// part is a table, or the rows of it that a condition selects.
type part struct {
	table plan.Relation
	where string // "" for all of it
	bytes int64
	whole int64 // bytes of the table
}

const (
	partBytes  = 64 << 20
	wholeBytes = 2 << 30 // a table that is cut off is copied again from its beginning
)

// parts are what the streams take, the table with the largest indexes first: what is built over it goes on longest, and
// beside the copy of the others. It is cut whatever its size, so that it is there soon.
func (s *Streams) parts(ctx context.Context, source *pg.Source, jobs int) ([]part, error) {
	sizes, err := readSizes(ctx, source, s.Tables)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, one := range sizes {
		total += one.bytes
	}
	most := s.PartBytes
	if most <= 0 {
		most = partBytes
	}
	tables := slices.Clone(s.Tables)
	slices.SortStableFunc(tables, func(a, b plan.Relation) int {
		return cmp.Or(cmp.Compare(b.IndexBytes, a.IndexBytes), cmp.Compare(sizes[b.Name].bytes, sizes[a.Name].bytes))
	})
	var all []part
	for i, r := range tables {
		now := sizes[r.Name]
		conditions := []string{""}
		n := min((now.bytes+most-1)/most, now.pages)
		if s.PartBytes == 0 && i > 0 && now.bytes <= wholeBytes && 4*now.bytes*int64(jobs) <= 5*total {
			n = 1 // no more than a stream's share: to cut it would gain nothing
		}
		if n > 1 {
			if conditions, err = ranges(ctx, source, r, now.pages, n); err != nil {
				return nil, err
			}
		}
		for _, where := range conditions {
			all = append(all, part{table: r, where: where, bytes: max(1, now.bytes/int64(len(conditions))), whole: now.bytes})
		}
	}
	return all, nil
}

// ranges cuts a table into n parts that hold each of its rows once. From 14 on a range of ctid reads its own pages alone.
// Before, each would read the whole table: there ranges of a key do where the rows lie in its order, and nothing else.
func ranges(ctx context.Context, source *pg.Source, r plan.Relation, pages, n int64) ([]string, error) {
	column, bounds := "ctid", make([]string, n-1)
	for i := range bounds {
		bounds[i] = fmt.Sprintf("'(%d,0)'", pages*int64(i+1)/n)
	}
	if !source.Version().Has(pgver.TidRangeScan) {
		var err error
		if column, bounds, err = keyBounds(ctx, source, r, n); err != nil || len(bounds) == 0 {
			return []string{""}, err
		}
	}
	conditions := []string{column + " < " + bounds[0]}
	for i := 1; i < len(bounds); i++ {
		conditions = append(conditions, fmt.Sprintf("%s >= %s and %[1]s < %[3]s", column, bounds[i-1], bounds[i]))
	}
	return append(conditions, column+" >= "+bounds[len(bounds)-1]), nil
}

// inOrder is the least correlation of a key with the place of its rows at which a range of it reads few pages in vain.
const inOrder = 0.9

// keyBounds cuts the values of the table's integer primary key into n parts of as many rows, as ANALYZE saw them.
func keyBounds(ctx context.Context, source *pg.Source, r plan.Relation, n int64) (column string, bounds []string, err error) {
	var seen []int64
	err = source.QueryRow(ctx, `select a.attname, s.histogram_bounds::text::int8[] from pg_index i
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
join pg_stats s on s.schemaname = $1 and s.tablename = $2 and s.attname = a.attname and not s.inherited
where i.indrelid = to_regclass($3) and i.indisprimary and i.indisvalid and i.indnatts = 1 and a.atttypid in (20, 21, 23)
  and s.histogram_bounds is not null and abs(s.correlation) >= $4`, r.Name.Schema, r.Name.Name, r.Name.String(), inOrder).Scan(&column, &seen)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("read where %s can be cut: %w", r.Name, err)
	}
	last := int64(len(seen) - 1)
	for i := int64(1); i < n && last > 0; i++ {
		if bound := strconv.FormatInt(seen[last*i/n], 10); len(bounds) == 0 || bounds[len(bounds)-1] != bound {
			bounds = append(bounds, bound)
		}
	}
	return plan.QuoteIdent(column), bounds, nil
}

// frozen tells whether the part's rows can be written as those of a transaction long past, which spares PostgreSQL a second
// writing of every page: for that, the transaction that copies must have truncated the table. A small table is quicker
// without the new files; and whoever looks into a table on the target waits until it is there, which must not be for long.
func (p part) frozen() bool { return p.where == "" && p.bytes >= frozenFrom && p.bytes <= wholeBytes }

const frozenFrom = 1 << 20

// statements are what reads the part on the source, and what writes it on the target.
func (p part) statements() (read, write string) {
	var columns []string
	binary := true
	for _, c := range p.table.Columns {
		if c.Generated != "" {
			continue
		}
		columns = append(columns, plan.QuoteIdent(c.Name))
		binary = binary && binarySafe(c.Type)
	}
	where := ""
	if p.where != "" {
		where = " where " + p.where
	}
	var options []string
	if binary && len(columns) > 0 {
		options = []string{"format binary"}
	}
	list := strings.Join(columns, ", ")
	read = fmt.Sprintf("copy (select %s from only %s%s) to stdout", list, p.table.Name, where)
	if where == "" && len(columns) > 0 {
		read = fmt.Sprintf("copy %s (%s) to stdout", p.table.Name, list)
	}
	read += with(options)
	if p.frozen() {
		options = append(options, "freeze")
	}
	if len(columns) == 0 { // rows without a column
		return read, fmt.Sprintf("copy %s from stdin", p.table.Name) + with(options)
	}
	return read, fmt.Sprintf("copy %s (%s) from stdin", p.table.Name, list) + with(options)
}

func with(options []string) string {
	if len(options) == 0 {
		return ""
	}
	return " with (" + strings.Join(options, ", ") + ")"
}

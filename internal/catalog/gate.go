package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Gate reads what the gate of a cutover judges, of the tables and sequences of the selection. It changes nothing.
// pooled are the source's server processes that belong to a pooler's connections.
func Gate(ctx context.Context, source, target pg.Querier, sel plan.Selection, pooled []int32) (plan.GateFacts, error) {
	g := plan.GateFacts{Pooled: pooled != nil}
	for _, step := range []func() error{
		func() (err error) { g.Writers, err = writers(ctx, target); return err },
		func() (err error) { g.NotAnalyzed, err = notAnalyzed(ctx, target, sel); return err },
		func() (err error) { g.InvalidIndexes, err = invalidIndexes(ctx, source, target); return err },
		func() (err error) { g.Behind, err = Behind(ctx, source, sel); return err },
		func() (err error) { g.Clients, err = Clients(ctx, source, pooled); return err },
		func() error { return pastTheFence(ctx, source, &g) },
	} {
		if err := step(); err != nil {
			return g, fmt.Errorf("read what the gate judges: %w", err)
		}
	}
	return g, nil
}

// rowsOf is query outside of a reader: for statements that are the same on every major.
func rowsOf[T any](ctx context.Context, q pg.Querier, name string, args ...any) ([]T, error) {
	return query[T](&reader{ctx: ctx, q: q}, name, args...)
}

func writers(ctx context.Context, target pg.Querier) ([]plan.Transaction, error) {
	rows, err := rowsOf[struct {
		PID                         int
		Username, Application, Text string
	}](ctx, target, "gate_writers")
	var out []plan.Transaction
	for _, r := range rows {
		out = append(out, plan.Transaction{PID: r.PID, User: r.Username, Application: r.Application, Query: r.Text, Writes: true})
	}
	return out, err
}

// notAnalyzed finds the tables over 64 kB, and the roots above such, that have no row of statistics.
func notAnalyzed(ctx context.Context, target pg.Querier, sel plan.Selection) ([]plan.Name, error) {
	found, err := rowsOf[plan.Name](ctx, target, "gate_statistics")
	if err != nil {
		return nil, err
	}
	selected := map[plan.Name]bool{}
	for _, r := range slices.Concat(sel.Published, sel.Roots) {
		selected[r.Name] = true
	}
	return slices.DeleteFunc(found, func(n plan.Name) bool { return !selected[n] }), nil
}

func invalidIndexes(ctx context.Context, source, target pg.Querier) ([]plan.Name, error) {
	on, err := rowsOf[plan.Name](ctx, target, "gate_indexes")
	if err != nil || len(on) == 0 {
		return nil, err
	}
	also, err := rowsOf[plan.Name](ctx, source, "gate_indexes")
	return slices.DeleteFunc(on, func(n plan.Name) bool { return slices.Contains(also, n) }), err
}

// Clients lists the client sessions in the database of the session, but ours, replication, and those that
// belong to a pooler's connections.
func Clients(ctx context.Context, q pg.Querier, pooled []int32) ([]plan.Clients, error) {
	rows, err := rowsOf[struct {
		Username, Application, Address string
		Sessions                       int
	}](ctx, q, "gate_clients", pooled)
	var out []plan.Clients
	for _, r := range rows {
		out = append(out, plan.Clients{User: r.Username, Application: r.Application, Address: r.Address, Sessions: r.Sessions})
	}
	return out, err
}

// pastTheFence finds whom the fence would let pass.
func pastTheFence(ctx context.Context, source pg.Querier, g *plan.GateFacts) error {
	rows, err := rowsOf[struct{ Kind, Role, Database, Schema, Name string }](ctx, source, "gate_fence")
	for _, r := range rows {
		if r.Kind == "trigger" {
			g.FenceOff = append(g.FenceOff, plan.Name{Schema: r.Schema, Name: r.Name})
		} else {
			g.Replicas = append(g.Replicas, plan.SetReplica{Role: r.Role, Database: r.Database})
		}
	}
	return err
}

// Behind compares each sequence of the selection with the outermost value of the column that it feeds, where an
// index finds that value without reading the table, and returns those that stand before it.
func Behind(ctx context.Context, source pg.Querier, sel plan.Selection) ([]plan.SequenceBehind, error) {
	rows, err := rowsOf[struct {
		SequenceSchema, SequenceName, TableSchema, TableName, ColumnName string
		Ascending                                                        bool
	}](ctx, source, "gate_sequences")
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	selected := map[plan.Name]bool{}
	for _, s := range sel.Sequences {
		selected[s.Name] = true
	}
	var all []plan.SequenceBehind
	var parts []string
	for _, r := range rows {
		b := plan.SequenceBehind{Sequence: plan.Name{Schema: r.SequenceSchema, Name: r.SequenceName}, Table: plan.Name{Schema: r.TableSchema, Name: r.TableName}, Column: r.ColumnName}
		if !selected[b.Sequence] {
			continue
		}
		outermost, beyond := "max", ">"
		if !r.Ascending {
			outermost, beyond = "min", "<"
		}
		column := plan.QuoteIdent(b.Column)
		parts = append(parts, fmt.Sprintf("select %d::int4 as place, s.last_value::int8 as last, t.v::int8 as found from %s s cross join (select %s(%s) as v from %s) t where t.v %s s.last_value",
			len(all), b.Sequence, outermost, column, b.Table, beyond))
		all = append(all, b)
	}
	var out []plan.SequenceBehind
	for chunk := range slices.Chunk(parts, 500) {
		rows, err := source.Query(ctx, strings.Join(chunk, "\nunion all "))
		if err != nil {
			return nil, fmt.Errorf("compare the sequences with their columns: %w", err)
		}
		var place int32
		var last, found int64
		if _, err := pgx.ForEachRow(rows, []any{&place, &last, &found}, func() error {
			b := all[place]
			b.Last, b.Found = last, found
			out = append(out, b)
			return nil
		}); err != nil {
			return nil, fmt.Errorf("compare the sequences with their columns: %w", err)
		}
	}
	return out, nil
}

package rehearsal

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// table is one whose rows are compared: ordinary tables and leaves, permanent, of no extension.
type table struct {
	name    plan.Name
	columns []column // in the order of their names: the attribute numbers differ between the servers
}

type column struct {
	name string
	typ  string // oid
}

// typ is what the text form of a value depends on.
type typ struct {
	name, kind, send       string
	base, element, subtype string // oids; 0 is none
	fields                 []column
}

const tablesSQL = `select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
	and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') order by 2, 3`

const attributesSQL = `select a.attrelid, a.attname, a.atttypid from pg_attribute a join pg_class c on c.oid = a.attrelid
	where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'c', 'v', 'm', 'f') and c.oid >= 16384`

const typesSQL = `select t.oid, t.typname, t.typtype, t.typsend::regproc, t.typbasetype,
	case when t.typlen = -1 and t.typelem <> 0 then t.typelem else 0 end, coalesce(r.rngsubtype, 0), t.typrelid
	from pg_type t left join pg_range r on r.rngtypid = t.oid where t.typtype <> 'p'`

// definitions reads what hashes need of one server.
func definitions(ctx context.Context, a *pg.Session) ([]table, map[string]typ, error) {
	relations, err := a.Script(ctx, tablesSQL)
	if err != nil {
		return nil, nil, fmt.Errorf("list the tables: %w", err)
	}
	attributes, err := a.Script(ctx, attributesSQL)
	if err != nil {
		return nil, nil, fmt.Errorf("list the columns: %w", err)
	}
	of := map[string][]column{}
	for _, r := range attributes {
		of[r[0]] = append(of[r[0]], column{r[1], r[2]})
	}
	var tables []table
	for _, r := range relations {
		columns := append([]column{}, of[r[0]]...)
		sort.Slice(columns, func(i, j int) bool { return columns[i].name < columns[j].name })
		tables = append(tables, table{plan.Name{Schema: r[1], Name: r[2]}, columns})
	}
	rows, err := a.Script(ctx, typesSQL)
	if err != nil {
		return nil, nil, fmt.Errorf("list the types: %w", err)
	}
	types := map[string]typ{}
	for _, r := range rows {
		types[r[0]] = typ{name: r[1], kind: r[2], send: r[3], base: r[4], element: r[5], subtype: r[6], fields: of[r[7]]}
	}
	return tables, types, nil
}

// sent are the types whose text differs between majors; what they send is the same (hazards, F).
var sent = map[string]bool{
	"float4": true, "float8": true, "point": true, "line": true, "lseg": true, "box": true, "path": true,
	"polygon": true, "circle": true, "char": true,
}

// holdsSent tells whether a value of the type has one of those in it.
func holdsSent(types map[string]typ, oid string) bool {
	t, ok := types[oid]
	if !ok {
		return false
	}
	if sent[t.name] && t.kind == "b" {
		return true
	}
	if t.kind == "c" {
		for _, f := range t.fields {
			if holdsSent(types, f.typ) {
				return true
			}
		}
		return false
	}
	return holdsSent(types, t.base) || holdsSent(types, t.element) || holdsSent(types, t.subtype)
}

// form is an expression that gives the value e of the type as the same text on both servers.
func form(types map[string]typ, oid, e string) string {
	if !holdsSent(types, oid) {
		return e + "::text"
	}
	t := types[oid]
	element := types[t.element]
	switch {
	case t.kind == "d":
		return form(types, t.base, e)
	case t.kind == "c":
		var fields []string
		for _, f := range t.fields {
			fields = append(fields, form(types, f.typ, "("+e+")."+plan.QuoteIdent(f.name)))
		}
		// num_nulls, because "is null" also holds for a row of nulls.
		return fmt.Sprintf("case when num_nulls(%s) = 0 then row(%s)::text end", e, strings.Join(fields, ", "))
	case t.kind == "r":
		return fmt.Sprintf("case when %[1]s is not null then row(isempty(%[1]s), lower_inc(%[1]s), upper_inc(%[1]s), %[2]s, %[3]s)::text end",
			e, form(types, t.subtype, "lower("+e+")"), form(types, t.subtype, "upper("+e+")"))
	case sent[t.name] || sent[element.name]: // array_send tells the element's oid, equal for a built-in type
		return fmt.Sprintf("encode(%s(%s), 'hex')", t.send, e)
	case t.element != "0":
		return fmt.Sprintf("(select string_agg(coalesce(%s, 'null'), ',' order by i) || array_dims(%s) from generate_subscripts(%s, 1) i)",
			form(types, t.element, "("+e+")[i]"), e, e)
	}
	return e + "::text"
}

// hashSQL gives the count and a sum over the rows' hashes: in no order, and equal rows do not cancel.
func hashSQL(types map[string]typ, t table) string {
	var values []string
	for _, c := range t.columns {
		values = append(values, form(types, c.typ, "t."+plan.QuoteIdent(c.name)))
	}
	return fmt.Sprintf("select count(*), coalesce(sum(('x' || substr(md5(row(%s)::text), 1, 15))::bit(60)::bigint), 0) from only %s t",
		strings.Join(values, ", "), t.name)
}

// digest is the rows of one table.
type digest struct{ count, sum, err string }

// digests hashes every table within the session's transaction.
func digests(ctx context.Context, a *pg.Session) (map[string]digest, error) {
	tables, types, err := definitions(ctx, a)
	if err != nil {
		return nil, err
	}
	out := map[string]digest{}
	for _, t := range tables {
		if _, err := a.Script(ctx, "savepoint h"); err != nil {
			return nil, fmt.Errorf("hash %s: %w", t.name, err)
		}
		rows, err := a.Script(ctx, hashSQL(types, t))
		if err != nil {
			if ctx.Err() != nil || !a.Alive() {
				return nil, fmt.Errorf("hash %s: %w", t.name, err)
			}
			out[t.name.String()] = digest{err: pg.Message(err)}
		} else {
			out[t.name.String()] = digest{count: rows[0][0], sum: rows[0][1]}
		}
		if _, err := a.Script(ctx, "rollback to savepoint h"); err != nil {
			return nil, fmt.Errorf("hash %s: %w", t.name, err)
		}
	}
	return out, nil
}

package catalog

import (
	"context"
	"embed"
	"fmt"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Object is one thing of a database that its users made, written so that it reads the same on every major:
// two databases have the same definitions where their Objects are equal.
type Object struct {
	Kind       string
	Name       string // unique within the kind
	Definition string
	// Of is the relation that the object is, or belongs to; where Of.Name is empty it belongs to none, and
	// Of.Schema is its schema, if it has one.
	Of plan.Name
}

//go:embed sql/objects_*.sql
var objectQueries embed.FS

// objectFiles name the queries. One query a kind of catalog, each over the whole database: a query for each
// table would take minutes on a database with many.
var objectFiles = []string{"relations", "columns", "constraints", "triggers", "functions", "types", "other", "privileges", "comments"}

// Objects reads every user object of the database, sorted by kind and name. What belongs to extensions, to
// PostgreSQL, to schema pgleap or to a session is left out, and so are the things that a dump of definitions
// does not carry: positions of sequences, rows, settings of the database, large objects, privileges of the
// database, security labels, publications and subscriptions.
//
// Not compared are texts that the majors write differently: the queries of views, rules and functions in SQL
// syntax (their columns, shapes and signatures are), the multirange of a range, and the privilege MAINTAIN.
// Smaller differences are evened out by normalise.
//
// The session's TimeZone is UTC while it runs, or bounds of partitions would be written in two ways.
func Objects(ctx context.Context, q pg.Querier) ([]Object, error) {
	return readAll(ctx, q, strings.NewReplacer("{{only}}", "true"))
}

// ObjectsOf is Objects, where of relations only those that are named are read, with what belongs to them.
func ObjectsOf(ctx context.Context, q pg.Querier, relations []plan.Name) ([]Object, error) {
	schemas, names := make([]string, len(relations)), make([]string, len(relations))
	for i, r := range relations {
		schemas[i], names[i] = r.Schema, r.Name
	}
	only := "(n.nspname::text, c.relname::text) in (select * from unnest($1::text[], $2::text[]))"
	return readAll(ctx, q, strings.NewReplacer("{{only}}", only), schemas, names)
}

func readAll(ctx context.Context, q pg.Querier, marks *strings.Replacer, only ...any) ([]Object, error) {
	var zone, ignored string
	if err := q.QueryRow(ctx, "select current_setting('TimeZone'), set_config('TimeZone', 'UTC', false)").Scan(&zone, &ignored); err != nil {
		return nil, fmt.Errorf("read objects: set the time zone: %w", err)
	}
	var all []Object
	for _, name := range objectFiles {
		sql, err := objectQueries.ReadFile("sql/objects_" + name + ".sql")
		if err != nil {
			return nil, err
		}
		var args []any
		if strings.Contains(string(sql), "{{only}}") {
			args = only
		}
		objects, err := readObjects(ctx, q, marks.Replace(string(sql)), args...)
		if err != nil {
			return nil, fmt.Errorf("read objects (%s): %w", name, err)
		}
		all = append(all, objects...)
	}
	if err := q.QueryRow(ctx, "select set_config('TimeZone', $1, false)", zone).Scan(&ignored); err != nil {
		return nil, fmt.Errorf("read objects: set the time zone back: %w", err)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Kind != all[j].Kind {
			return all[i].Kind < all[j].Kind
		}
		return all[i].Name < all[j].Name
	})
	return all, nil
}

// objectRow is a row of any of the queries.
type objectRow struct {
	Kind, Schema, Name, Member string
	OfRelation                 bool
	Definition                 string
	Privilege                  *string `db:"privilege"`
	ObjectKind                 *string `db:"object_kind"`
	Grantee                    *string `db:"grantee"`
	Identity                   *string `db:"identity"`
}

func readObjects(ctx context.Context, q pg.Querier, sql string, args ...any) ([]Object, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[objectRow])
	if err != nil {
		return nil, err
	}
	objects := make([]Object, len(list))
	for i, r := range list {
		objects[i] = r.object()
	}
	return objects, nil
}

func (r objectRow) object() Object {
	o := Object{Kind: r.Kind, Name: r.name(), Definition: r.Definition, Of: plan.Name{Schema: r.Schema}}
	if r.OfRelation {
		o.Of.Name = r.Name
	}
	if r.Kind != "comment" {
		o.Definition = normalise(r.Kind, r.Definition)
	}
	return o
}

// name is written here and not by the server: what quote_ident quotes differs between the majors.
func (r objectRow) name() string {
	switch r.Kind {
	case "privilege":
		on := objectRow{Kind: *r.ObjectKind, Schema: r.Schema, Name: r.Name, Member: r.Member}
		return fmt.Sprintf("%s on %s %s to %s", *r.Privilege, *r.ObjectKind, on.name(), plan.QuoteIdent(*r.Grantee))
	case "comment":
		return *r.ObjectKind + " " + unquoteWords(*r.Identity)
	case "schema":
		return plan.QuoteIdent(r.Schema)
	case "default privileges", "cast":
		return unquoteWords(r.Name)
	}
	name := plan.QuoteIdent(r.Name)
	if r.Schema != "" {
		name = plan.Name{Schema: r.Schema, Name: r.Name}.String()
	}
	switch {
	case r.Kind == "function" || r.Kind == "procedure" || r.Kind == "aggregate" || r.Kind == "operator":
		return name + "(" + unquoteWords(r.Member) + ")"
	case r.Kind == "column":
		return name + "." + plan.QuoteIdent(r.Member)
	case r.Member != "":
		return plan.QuoteIdent(r.Member) + " on " + name
	}
	return name
}

package schema

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// Initial is what the target database held before the definitions were loaded: what Clear leaves, or puts back.
// It is recorded before the load.
type Initial struct {
	Extensions []string      `json:"extensions,omitempty"`
	Public     *PublicSchema `json:"public,omitempty"` // nil: there was none
	// Objects are all the objects by kind and name, so that Clear can prove that it left them.
	Objects []string `json:"objects"`
}

// PublicSchema is what is special to schema public, which every database has from the start.
type PublicSchema struct {
	Owner   string  `json:"owner"`
	Grants  []Grant `json:"grants"`
	Comment string  `json:"comment,omitempty"`
}

// Grant is one privilege of one grantee.
type Grant struct {
	Grantee   string `json:"grantee"` // "" is everybody
	Privilege string `json:"privilege"`
	Option    bool   `json:"option,omitempty"`
}

// ReadInitial reads what Clear needs to know, before anything is loaded.
func ReadInitial(ctx context.Context, q pg.Querier) (Initial, error) {
	var in Initial
	rows, err := q.Query(ctx, "select extname from pg_catalog.pg_extension order by 1")
	if err != nil {
		return in, fmt.Errorf("read extensions: %w", err)
	}
	if in.Extensions, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return in, fmt.Errorf("read extensions: %w", err)
	}
	if in.Public, err = readPublic(ctx, q); err != nil {
		return in, fmt.Errorf("read schema public: %w", err)
	}
	objects, err := catalog.Objects(ctx, q)
	if err != nil {
		return in, err
	}
	for _, o := range objects {
		in.Objects = append(in.Objects, objectLine(o))
	}
	return in, nil
}

func objectLine(o catalog.Object) string { return o.Kind + " " + o.Name + ": " + o.Definition }

func readPublic(ctx context.Context, q pg.Querier) (*PublicSchema, error) {
	var p PublicSchema
	err := q.QueryRow(ctx, `select pg_get_userbyid(nspowner)::text, coalesce(obj_description(oid, 'pg_namespace'), '')
		from pg_catalog.pg_namespace where nspname = 'public'`).Scan(&p.Owner, &p.Comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `select case a.grantee when 0 then '' else pg_get_userbyid(a.grantee)::text end, a.privilege_type, a.is_grantable
		from pg_catalog.pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
		where n.nspname = 'public' order by 1, 2, 3`)
	if err != nil {
		return nil, err
	}
	p.Grants, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Grant])
	return &p, err
}

// Clear takes stage schema back: it removes everything from the target database but schema pgleap and what was
// there before. The database held nothing of its users then: a check saw to that. It works in several
// transactions and drops only what it sees, so that, interrupted, it goes on when it is run again. In the end it
// compares the database with initial; the error names what is left.
func Clear(ctx context.Context, t *pg.Target, initial Initial) error {
	for _, k := range clearing {
		if err := dropAll(ctx, t, k, initial); err != nil {
			return fmt.Errorf("clear the target: drop %s: %w", k.what, err)
		}
	}
	if err := resetPublic(ctx, t, initial.Public); err != nil {
		return fmt.Errorf("clear the target: set schema public back: %w", err)
	}
	return cleared(ctx, t, initial)
}

// dropBatch bounds the objects of one transaction: each takes locks, of which the server has a limited number.
const dropBatch = 500

func dropAll(ctx context.Context, t *pg.Target, k clearance, initial Initial) error {
	var args []any
	if strings.Contains(k.query, "$1") {
		args = append(args, append([]string{}, initial.Extensions...)) // not null, of which everything differs
	}
	rows, err := t.Query(ctx, k.query, args...)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for len(list) > 0 {
		n := min(dropBatch, len(list))
		if err := execAll(ctx, t, list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// execAll sends statements as one transaction and says which one failed.
func execAll(ctx context.Context, t *pg.Target, list []string) error {
	done, err := t.ExecEach(ctx, list)
	if err == nil || ctx.Err() != nil || done >= len(list) {
		return err
	}
	return fmt.Errorf("%s: %w", list[done], &serverError{err})
}

// resetPublic gives schema public its owner, privileges and comment back.
func resetPublic(ctx context.Context, t *pg.Target, before *PublicSchema) error {
	now, err := readPublic(ctx, t)
	if err != nil || reflect.DeepEqual(now, before) {
		return err
	}
	if before == nil {
		return execAll(ctx, t, []string{"drop schema public cascade"})
	}
	var list []string
	if now == nil {
		now = &PublicSchema{}
		list = append(list, "create schema public")
	}
	list = append(list, "alter schema public owner to "+plan.QuoteIdent(before.Owner))
	for _, g := range append(now.Grants, Grant{Grantee: before.Owner}) {
		list = append(list, "revoke all on schema public from "+g.to())
	}
	for _, g := range before.Grants {
		grant := fmt.Sprintf("grant %s on schema public to %s", g.Privilege, g.to())
		if g.Option {
			grant += " with grant option"
		}
		list = append(list, grant)
	}
	comment := "null"
	if before.Comment != "" {
		comment = plan.QuoteLiteral(before.Comment)
	}
	return execAll(ctx, t, append(list, "comment on schema public is "+comment))
}

// CopyPublic gives schema public of one database of a server the owner, privileges and comment of another's.
func CopyPublic(ctx context.Context, from pg.Querier, to *pg.Target) error {
	p, err := readPublic(ctx, from)
	if err != nil {
		return fmt.Errorf("read schema public: %w", err)
	}
	if err := resetPublic(ctx, to, p); err != nil {
		return fmt.Errorf("set schema public up: %w", err)
	}
	return nil
}

// to is the grantee as GRANT takes it.
func (g Grant) to() string {
	if g.Grantee == "" {
		return "public"
	}
	return plan.QuoteIdent(g.Grantee)
}

// cleared says what is not as it was.
func cleared(ctx context.Context, t *pg.Target, initial Initial) error {
	left, err := differs(ctx, t, initial)
	if err != nil {
		return err
	}
	if len(left) > 10 {
		left = append(left[:10], fmt.Sprintf("and %d more", len(left)-10))
	}
	if len(left) > 0 {
		return fmt.Errorf("clear the target: not as before:\n    %s", strings.Join(left, "\n    "))
	}
	return nil
}

// differs lists what is there now and was not before, or the other way round.
func differs(ctx context.Context, q pg.Querier, initial Initial) ([]string, error) {
	objects, err := catalog.Objects(ctx, q)
	if err != nil {
		return nil, err
	}
	before := map[string]bool{}
	for _, line := range initial.Objects {
		before[line] = true
	}
	var left []string
	for _, o := range objects {
		line := objectLine(o)
		if !before[line] {
			left = append(left, line)
		}
		delete(before, line)
	}
	for line := range before {
		left = append(left, "missing: "+line)
	}
	sort.Strings(left)
	return left, nil
}

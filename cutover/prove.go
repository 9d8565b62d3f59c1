package cutover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

const (
	// mostRoles bounds how many roles are tried: those with sessions at the moment first.
	mostRoles = 50
	// proveWithin bounds one try: behind a fence that stands it is answered in a millisecond.
	proveWithin = 2 * time.Second
)

// Proof tries to write on the side that is left, behind the fence, as each role that could. Nothing that it tries
// writes a row, whatever the answer: the conditions are false, and every transaction is rolled back.
type Proof struct {
	session *pg.Source
	tries   []try
	known   []Refusal // what need not be tried
}

// try is one attempt to write.
type try struct {
	role, how string
	prepare   []string
	write     string
}

// OpenProof opens the session, and reads whom to try as and where: each role that may log in and holds a privilege to
// write on one of the tables, and our own. It is to be closed.
func OpenProof(ctx context.Context, c Connector, fenced []plan.Relation) (*Proof, error) {
	s, err := c.OpenSource(ctx)
	if err != nil {
		return nil, err
	}
	p := &Proof{session: s}
	if err := p.plan(ctx, fenced); err != nil {
		s.Close()
		return nil, fmt.Errorf("prepare to try the fence: %w", err)
	}
	return p, nil
}

// Close ends the session.
func (p *Proof) Close() { p.session.Close() }

// rolesStatement finds a table, for each role, that it may write, and how; a leaf, because a write to a root whose
// condition is false is no write to the versions before 14. Roles with sessions come first.
const rolesStatement = `with fenced as (
  select c.oid, n.nspname, c.relname from unnest($1::text[], $2::text[]) f(s, n)
    join pg_namespace n on n.nspname = f.s join pg_class c on c.relnamespace = n.oid and c.relname = f.n and c.relkind = 'r'
   where exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)),
roles as (
  select r.oid, r.rolname, r.rolname = current_user as own,
    coalesce((select max(state_change) from pg_stat_activity a where a.usesysid = r.oid and a.datname = current_database()), '-infinity') as seen
  from pg_roles r where r.rolcanlogin and has_database_privilege(r.oid, current_database(), 'connect'))
select r.rolname::text, r.own, pg_has_role(current_user, r.oid, 'member') as ours, count(*) over () as roles,
  f.nspname::text, f.relname::text, f.how,
  coalesce((select a.attname::text from pg_attribute a where a.attrelid = f.oid and a.attnum > 0 and not a.attisdropped
    and has_column_privilege(r.oid, a.attrelid, a.attnum, 'update') order by a.attnum limit 1), '') as updates
from roles r, lateral (
  select f.*, case when has_any_column_privilege(r.oid, f.oid, 'update') then 'update' when has_table_privilege(r.oid, f.oid, 'delete') then 'delete' else 'insert' end as how
  from fenced f where has_schema_privilege(r.oid, f.nspname, 'usage')
    and (has_any_column_privilege(r.oid, f.oid, 'update') or has_table_privilege(r.oid, f.oid, 'delete') or has_table_privilege(r.oid, f.oid, 'insert')) limit 1) f
order by r.own desc, r.seen desc, r.rolname limit ` // mostRoles

func (p *Proof) plan(ctx context.Context, fenced []plan.Relation) error {
	schemas, names := make([]string, len(fenced)), make([]string, len(fenced))
	for i, r := range fenced {
		schemas[i], names[i] = r.Name.Schema, r.Name.Name
	}
	rows, err := p.session.Query(ctx, rolesStatement+fmt.Sprint(mostRoles), schemas, names)
	if err != nil {
		return err
	}
	var role, how, column string
	var own, ours bool
	var all int
	var table plan.Name
	if _, err := pgx.ForEachRow(rows, []any{&role, &own, &ours, &all, &table.Schema, &table.Name, &how, &column}, func() error {
		write := falseWrite(table, how, column)
		switch {
		case own:
			p.tries = append(p.tries, try{role: role, write: write},
				try{role: role, how: "set transaction_read_only = off", prepare: []string{readWrite, "set local default_transaction_read_only = off"}, write: write})
		case ours:
			p.tries = append(p.tries, try{role, "set role; set transaction_read_only = off", []string{readWrite, "set local role " + plan.QuoteIdent(role)}, write})
		default:
			p.known = append(p.known, Refusal{Role: role, How: "not tried", Answer: "the role that pgleap connects as is no member of it"})
		}
		return nil
	}); err != nil {
		return err
	}
	if all > mostRoles {
		p.known = append(p.known, Refusal{How: "not tried", Answer: fmt.Sprintf("%d more roles may write: %d were tried, those with sessions first", all-mostRoles, mostRoles)})
	}
	return p.replicas(ctx)
}

// readWrite is what beats default_transaction_read_only, whoever has set it.
const readWrite = "set local transaction_read_only = off"

// falseWrite is a write of no row; the triggers of a statement fire all the same.
func falseWrite(table plan.Name, how, column string) string {
	switch how {
	case "update":
		return "update only " + table.String() + " set " + plan.QuoteIdent(column) + " = default where false"
	case "delete":
		return "delete from only " + table.String() + " where false"
	}
	return "insert into " + table.String() + " select where false"
}

// replicas names the roles and databases whose sessions no trigger of ours meets. The gate has refused them; who was
// set so since is told.
func (p *Proof) replicas(ctx context.Context) error {
	rows, err := p.session.Query(ctx, `select coalesce(r.rolname, 'every role')::text from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
where exists (select from unnest(s.setconfig) c where lower(c) = 'session_replication_role=replica') and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))`)
	if err != nil {
		return err
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, role := range roles {
		p.known = append(p.known, Refusal{Role: role, How: "session_replication_role = replica, by its settings", Answer: "not tried: no trigger fires for it; the old server's WAL tells whether it wrote"})
	}
	return err
}

// Try makes every try, and returns the answers. It is called when the fence stands; errors are answers, too.
func (p *Proof) Try(ctx context.Context) []Refusal {
	out := make([]Refusal, 0, len(p.tries)+len(p.known))
	for _, t := range p.tries {
		out = append(out, p.one(ctx, t))
	}
	return append(out, p.known...)
}

func (p *Proof) one(ctx context.Context, t try) Refusal {
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	r := Refusal{Role: t.role, How: t.how}
	_, err := p.session.ExecEach(ctx, append([]string{"begin"}, t.prepare...))
	if err == nil {
		r.Tried = t.write
		_, err = p.session.Exec(ctx, t.write)
		r.Refused = refused(err)
	}
	r.Answer = passed
	if err != nil {
		r.Answer = pg.Message(err)
	}
	if err := p.session.Rollback(); err != nil && r.Tried == "" {
		r.Answer += "; " + pg.Message(err)
	}
	return r
}

// refused tells the fence's own answer from that of a read-only session, which says nothing about the fence.
func refused(err error) bool {
	return pg.Code(err) == pg.CodeReadOnly && strings.HasPrefix(pg.Message(err), "pgleap: ")
}

// passed is the answer to a write that nobody refused.
const passed = "no error"

// Passed returns the writes that were carried out behind the fence. Another error than the fence's is none of them,
// and proves nothing.
func Passed(all []Refusal) []Refusal {
	var out []Refusal
	for _, r := range all {
		if r.Tried != "" && r.Answer == passed {
			out = append(out, r)
		}
	}
	return out
}

package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/catalog"
	"pgleap/plan"
	"pgleap/schema"
)

// objectsSQL describes what both sides must have alike, one text per object. Left out, because the majors
// differ in it: NOT NULL constraints (rows of pg_constraint from 18 on), the privilege MAINTAIN (17), what
// PostgreSQL itself granted on schema public (changed in 15), constraints and triggers that a parent's brings
// along, functions that a type brings along (those of its multirange, 14).
const objectsSQL = `
with r as (
	select c.oid, c.relkind, c.relpersistence, c.relreplident, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relacl, format('%s.%s', quote_ident(n.nspname), quote_ident(c.relname)) as name
	from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap', 'rehearsal_floor')
)
select format('relation %s: kind %s, persistence %s, identity %s, owner %s, row security %s/%s', name, relkind, relpersistence, relreplident, relowner::regrole,
	relrowsecurity, relforcerowsecurity) from r
union all select format('column %s.%s: %s, not null %s, default %s', r.name, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef)
	from r join pg_attribute a on a.attrelid = r.oid where a.attnum > 0 and not a.attisdropped and r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
union all select format('index %s on %s: valid %s, ready %s, unique %s, primary %s, identity %s', i.name, x.indrelid::regclass, x.indisvalid, x.indisready, x.indisunique,
	x.indisprimary, x.indisreplident) from r i join pg_index x on x.indexrelid = i.oid
union all select format('constraint %s on %s: type %s, validated %s, deferrable %s', quote_ident(con.conname), r.name, con.contype, con.convalidated, con.condeferrable)
	from r join pg_constraint con on con.conrelid = r.oid where con.contype <> 'n' and coalesce(to_jsonb(con) ->> 'conparentid', '0') = '0'
union all select format('trigger %s on %s: enabled %s', quote_ident(t.tgname), r.name, t.tgenabled) from r join pg_trigger t on t.tgrelid = r.oid
	where not t.tgisinternal and t.tgname <> 'zz_pgleap_fence' and coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
union all select format('policy %s on %s', quote_ident(p.polname), r.name) from r join pg_policy p on p.polrelid = r.oid
union all select format('function %s: owner %s', p.oid::regprocedure, p.proowner::regrole) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
	where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap', 'rehearsal_floor')
	and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
union all select format('grant on %s: %s to %s%s', r.name, g.privilege_type, case when g.grantee = 0 then 'public' else g.grantee::regrole::text end,
	case when g.is_grantable then ' with grant option' end)
	from r cross join lateral aclexplode(coalesce(r.relacl, acldefault(case when r.relkind = 'S' then 's'::"char" else 'r' end, r.relowner))) g
	where r.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and g.privilege_type <> 'MAINTAIN'
union all select format('grant on schema %s: %s to %s', n.nspname, g.privilege_type, case when g.grantee = 0 then 'public' else g.grantee::regrole::text end)
	from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g
	where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap', 'public')`

// judgeSchema compares the definitions of both sides twice: with a query of the rehearsal's own, so that the
// tool is not its own judge, and with the tool's, which looks closer.
func (w *walk) judgeSchema(ctx context.Context) (wrong []string, good string, err error) {
	var have [2]map[string]bool
	var objects [2][]catalog.Object
	for i, server := range []Server{w.stage.Source, w.stage.Target} {
		if have[i], objects[i], err = describe(ctx, server); err != nil {
			return nil, "", err
		}
	}
	wrong = append(only(plan.Source, have[0], have[1]), only(plan.Target, have[1], have[0])...)
	var without []string
	if w.stage.plain(w.stage.Target) { // a superuser's schema public stays whose it is
		without = append(without, "schema public")
	}
	for _, d := range schema.Compare(objects[0], objects[1], plan.Selection{Schemas: []string{"rehearsal_floor"}}, without...) {
		if !strings.Contains(d.Name, "zz_pgleap_fence") { // finalize was left out
			wrong = append(wrong, fmt.Sprintf("%s: source %q, target %q", d, d.Source, d.Target))
		}
	}
	return wrong, fmt.Sprintf("%d objects and %d properties are the same on both sides", len(objects[0]), len(have[0])), nil
}

func describe(ctx context.Context, server Server) (map[string]bool, []catalog.Object, error) {
	session, err := openPinned(ctx, server)
	if err != nil {
		return nil, nil, err
	}
	defer session.Close()
	rows, err := session.Script(ctx, objectsSQL)
	if err != nil {
		return nil, nil, fmt.Errorf("describe the %s: %w", server.Side, err)
	}
	have := map[string]bool{}
	for _, r := range rows {
		have[r[0]] = true
	}
	objects, err := catalog.Objects(ctx, session)
	if err != nil {
		return nil, nil, fmt.Errorf("describe the %s: %w", server.Side, err)
	}
	return have, objects, nil
}

// only says what one side has and the other lacks.
func only(side plan.Side, have, other map[string]bool) []string {
	var out []string
	for o := range have {
		if !other[o] {
			out = append(out, fmt.Sprintf("%s only: %s", side, o))
		}
	}
	slices.Sort(out)
	return out
}

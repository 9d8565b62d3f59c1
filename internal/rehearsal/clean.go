package rehearsal

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"pgleap/internal/pg"
)

// inventorySQL lists everything that a run could leave behind, as (kind, description). What belongs to the
// schema alone ("object") is compared on the source only: the target gets the source's schema.
const inventorySQL = `
select 'slot', slot_name::text from pg_replication_slots
union all select 'publication', pubname::text from pg_publication
union all select 'subscription', subname::text from pg_subscription
union all select 'origin', roname from pg_replication_origin where roname !~ '^rehearsal'
union all select 'role', format('%s superuser=%s createdb=%s createrole=%s login=%s replication=%s bypassrls=%s connlimit=%s settings=%s',
	rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolconfig)
	from pg_roles where rolname !~ '^pg_'
union all select 'membership', format('%s in %s', m.member::regrole, m.roleid::regrole) from pg_auth_members m where m.roleid >= 16384 or m.member >= 16384
union all select 'setting', format('role %s in database %s: %s', coalesce(r.rolname, '-'), coalesce(d.datname, '-'), s.setconfig)
	from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
union all select 'database', format('%s allowconn=%s connlimit=%s', datname, datallowconn, datconnlimit) from pg_database
union all select 'server setting', format('%s = %s', name, setting) from pg_file_settings where sourcefile ~ 'postgresql.auto.conf$'
union all select 'event trigger', evtname::text from pg_event_trigger
union all select 'object', format('database acl %s', datacl) from pg_database where datname = current_database()
union all select 'object', format('schema %s acl %s', nspname, nspacl) from pg_namespace where nspname !~ '^pg_(toast|temp)'
union all select 'object', format('function %s', p.oid::regprocedure) from pg_proc p where p.oid >= 16384
union all select 'object', format('trigger %s on %s enabled %s', tgname, tgrelid::regclass, tgenabled) from pg_trigger where not tgisinternal
union all select 'object', format('relation %s kind %s owner %s acl %s identity %s', c.oid::regclass, relkind, relowner::regrole, relacl, relreplident)
	from pg_class c where c.oid >= 16384 and relkind <> 't' and relnamespace <> 'pg_toast'::regnamespace
union all select 'object', format('identity index %s', indexrelid::regclass) from pg_index where indisreplident`

// ours is whatever carries the tool's name.
const oursSQL = `
select 'schema', nspname::text from pg_namespace where nspname ~ 'pgleap'
union all select 'function', p.oid::regprocedure::text from pg_proc p where proname ~ 'pgleap'
union all select 'trigger', format('%s on %s', tgname, tgrelid::regclass) from pg_trigger where tgname ~ 'pgleap'
union all select 'relation', c.oid::regclass::text from pg_class c where relname ~ 'pgleap'
union all select 'role', rolname::text from pg_roles where rolname ~ 'pgleap'
union all select 'slot', slot_name::text from pg_replication_slots where slot_name ~ 'pgleap|^pg_[0-9]+_sync_'
union all select 'origin', roname from pg_replication_origin where roname ~ '^pg_[0-9]+'
union all select 'event trigger', evtname::text from pg_event_trigger where evtname ~ 'pgleap'`

// inventory is what a server has: "kind description".
type inventory map[string]bool

func takeInventory(ctx context.Context, server Server, sql string) (inventory, error) {
	out := inventory{}
	err := server.admin(ctx, func(a *pg.Session) error {
		rows, err := a.Script(ctx, "set search_path = pg_catalog; "+sql)
		for _, r := range rows {
			out[r[0]+" "+r[1]] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take the inventory: %w", err)
	}
	return out, nil
}

// objects are compared on the source only.
func (i inventory) without(prefix string) inventory {
	out := inventory{}
	for k := range i {
		if !strings.HasPrefix(k, prefix) {
			out[k] = true
		}
	}
	return out
}

// diff says what was added to and removed from before.
func (i inventory) diff(before inventory) []string {
	var out []string
	for k := range i {
		if !before[k] {
			out = append(out, "left over or changed: "+k)
		}
	}
	for k := range before {
		if !i[k] {
			out = append(out, "gone or changed: "+k)
		}
	}
	sort.Strings(out)
	return out
}

// before is both servers ahead of the upgrade.
type before struct{ source, target inventory }

func (s *Stage) inventories(ctx context.Context) (b before, err error) {
	if b.source, err = takeInventory(ctx, s.Source, inventorySQL); err != nil {
		return b, err
	}
	b.target, err = takeInventory(ctx, s.Target, inventorySQL)
	return b, err
}

// leftovers says what is not as before, on both sides.
func (s *Stage) leftovers(ctx context.Context, b before) ([]string, error) {
	after, err := s.inventories(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range after.source.diff(b.source) {
		out = append(out, "source: "+d)
	}
	for _, d := range after.target.without("object ").diff(b.target.without("object ")) {
		out = append(out, "target: "+d)
	}
	for _, server := range []Server{s.Source, s.Target} {
		ours, err := takeInventory(ctx, server, oursSQL)
		if err != nil {
			return nil, err
		}
		for k := range ours {
			out = append(out, fmt.Sprintf("%s: pgleap's: %s", server.Side, k))
		}
	}
	sort.Strings(out)
	return out, nil
}

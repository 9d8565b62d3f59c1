package schema

import "fmt"

// clearance is one kind of object, and the query for the statements that drop all of that kind. Names are quoted
// by the server that reads them. $1 are the extensions that stay.
type clearance struct{ what, query string }

// clearing are the kinds in the order in which they go. What cascades takes with it needs no place of its own.
var clearing = []clearance{
	{"event triggers", `select format('drop event trigger if exists %I', evtname)
		from pg_event_trigger e where ` + notOfExtension("pg_event_trigger", "e.oid")},
	// The youngest first: partitions before their roots, so that no statement has to lock a whole tree.
	{"tables", `select format('drop %s if exists %I.%I cascade', case c.relkind when 'f' then 'foreign table' else 'table' end, n.nspname, c.relname)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'f') and ` + ofUser + ` and ` + notOfExtension("pg_class", "c.oid") + ` order by c.oid desc`},
	{"views and sequences", `select format('drop %s if exists %I.%I cascade', case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'sequence' end,
		n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('v', 'm', 'S') and ` + ofUser + ` and ` + notOfExtension("pg_class", "c.oid")},
	{"extensions", `select format('drop extension if exists %I cascade', extname) from pg_extension where extname <> all ($1)`},
	{"schemas", `select format('drop schema if exists %I cascade', n.nspname) from pg_namespace n
		where ` + ofUser + ` and n.nspname <> 'public' and ` + notOfExtension("pg_namespace", "n.oid")},
	// Schema public itself stays: an extension that was there before may live in it.
	{"what is in schema public", `select format('drop %s if exists %s cascade', case i.type when 'statistics object' then 'statistics' else i.type end, i.identity)
		from pg_depend d join pg_namespace n on n.oid = d.refobjid and n.nspname = 'public' cross join lateral pg_identify_object(d.classid, d.objid, 0) i
		where d.refclassid = 'pg_namespace'::regclass and d.deptype = 'n' and d.classid not in ('pg_default_acl'::regclass, 'pg_extension'::regclass)
		and not exists (select from pg_depend x where x.classid = d.classid and x.objid = d.objid and x.deptype in ('e', 'i'))`},
	{"casts", `select format('drop cast if exists (%s as %s) cascade', format_type(castsource, null), format_type(casttarget, null))
		from pg_cast c where c.oid >= 16384 and not exists (select from pg_depend i where i.classid = 'pg_cast'::regclass and i.objid = c.oid and i.deptype = 'i')
		and ` + notOfExtension("pg_cast", "c.oid")},
	{"foreign servers", `select format('drop server if exists %I cascade', srvname)
		from pg_foreign_server s where ` + notOfExtension("pg_foreign_server", "s.oid")},
	{"foreign data wrappers", `select format('drop foreign data wrapper if exists %I cascade', fdwname)
		from pg_foreign_data_wrapper w where ` + notOfExtension("pg_foreign_data_wrapper", "w.oid")},
	{"languages", `select format('drop language if exists %I cascade', lanname)
		from pg_language l where l.lanispl and l.oid >= 16384 and ` + notOfExtension("pg_language", "l.oid")},
	{"access methods", `select format('drop access method if exists %I cascade', amname)
		from pg_am a where a.oid >= 16384 and ` + notOfExtension("pg_am", "a.oid")},
	{"default privileges", defaultPrivileges},
}

// ofUser: pg_* are PostgreSQL's, and pgleap is ours.
const ofUser = `n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')`

// notOfExtension: a member of an extension goes with it.
func notOfExtension(class, oid string) string {
	return fmt.Sprintf("not exists (select from pg_depend x where x.classid = '%s'::regclass and x.objid = %s and x.deptype = 'e')", class, oid)
}

// defaultPrivileges: PostgreSQL removes an entry by itself as soon as it says what holds without it: for a schema
// nothing, else everything for the owner, and for functions and types something for everybody. In descending
// order "revoke" comes before "grant".
const defaultPrivileges = `with entry as (
		select d.*, format('alter default privileges for role %I', pg_get_userbyid(d.defaclrole)) || case when n.oid is null then '' else format(' in schema %I', n.nspname) end as head,
			case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas'
				else 'large objects' end as what
		from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace)
	select format('%s revoke all on %s from %s', head, what, case g when 0 then 'public' else quote_ident(pg_get_userbyid(g)) end)
		from entry cross join lateral (select distinct grantee from aclexplode(defaclacl)) a(g)
	union all
	select format('%s grant all on %s to %I', head, what, pg_get_userbyid(defaclrole)) from entry where defaclnamespace = 0
	union all
	select format('%s grant %s on %s to public', head, case defaclobjtype when 'f' then 'execute' else 'usage' end, what)
		from entry where defaclnamespace = 0 and defaclobjtype in ('f', 'T')
	order by 1 desc`

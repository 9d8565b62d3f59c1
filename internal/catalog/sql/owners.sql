-- Who owns what besides tables and views, one line for each owner and schema; who may create in schemas of
-- others; and what outside of schemas is used. What belongs to an extension belongs to whoever creates it on the target.
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), space as (
  select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n
   where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and not exists (select 1 from member m where m.classid = 'pg_namespace'::regclass and m.objid = n.oid)
), thing as (
  select 'pg_class'::regclass as class, oid, relowner as owner, relnamespace as space, 'sequence ' as kind, relname as name from pg_class c
   where relkind = 'S' and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
  -- the constructors of a range come with it
  union all select 'pg_proc'::regclass, oid, proowner, pronamespace, 'function ', proname from pg_proc p
   where not exists (select 1 from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
  union all select 'pg_type'::regclass, t.oid, t.typowner, t.typnamespace, 'type ', t.typname from pg_type t left join pg_class c on c.oid = t.typrelid
   where t.typtype in ('b', 'c', 'd', 'e', 'r') and (t.typrelid = 0 or c.relkind = 'c') and t.typelem = 0
  union all select 'pg_operator'::regclass, oid, oprowner, oprnamespace, 'operator ', oprname from pg_operator
  union all select 'pg_opclass'::regclass, oid, opcowner, opcnamespace, 'operator class ', opcname from pg_opclass
  union all select 'pg_opfamily'::regclass, oid, opfowner, opfnamespace, 'operator family ', opfname from pg_opfamily
  union all select 'pg_collation'::regclass, oid, collowner, collnamespace, 'collation ', collname from pg_collation
  union all select 'pg_conversion'::regclass, oid, conowner, connamespace, 'conversion ', conname from pg_conversion
  union all select 'pg_ts_dict'::regclass, oid, dictowner, dictnamespace, 'text search dictionary ', dictname from pg_ts_dict
  union all select 'pg_ts_config'::regclass, oid, cfgowner, cfgnamespace, 'text search configuration ', cfgname from pg_ts_config
  union all select 'pg_statistic_ext'::regclass, oid, stxowner, stxnamespace, 'statistics object ', stxname from pg_statistic_ext
), elsewhere as (
  select 'pg_foreign_server'::regclass as class, oid, srvowner as owner, 'foreign server ' as kind, srvname as name from pg_foreign_server
  union all select 'pg_language'::regclass, oid, lanowner, 'language ', lanname from pg_language where lanispl and oid >= 16384
  union all select 'pg_default_acl'::regclass, oid, defaclrole, 'default privileges', null from pg_default_acl
)
select 'owns' as fact, pg_get_userbyid(t.owner)::text as role, s.nspname::text as schema, min(t.kind || quote_ident(s.nspname) || '.' || quote_ident(t.name)) as object
  from thing t join space s on s.oid = t.space
 where not exists (select 1 from member m where m.classid = t.class and m.objid = t.oid)
 group by 2, 3
union all
select 'owns', pg_get_userbyid(e.owner)::text, '', min(e.kind || coalesce(quote_ident(e.name), ''))
  from elsewhere e where not exists (select 1 from member m where m.classid = e.class and m.objid = e.oid)
 group by 2
union all
select 'schema', pg_get_userbyid(nspowner)::text, nspname::text, '' from space
union all
select 'creates', pg_get_userbyid(a.grantee)::text, s.nspname::text, ''
  from space s cross join lateral aclexplode(s.nspacl) a where a.privilege_type = 'CREATE' and a.grantee not in (0, s.nspowner)
union all
select distinct 'tablespace', '', '', t.spcname::text
  from pg_class c join space s on s.oid = c.relnamespace join pg_tablespace t on t.oid = c.reltablespace
union all
select distinct 'wrapper', '', '', w.fdwname::text
  from pg_foreign_server v join pg_foreign_data_wrapper w on w.oid = v.srvfdw
 where not exists (select 1 from member m where m.classid = 'pg_foreign_server'::regclass and m.objid = v.oid)
union all
select distinct 'grants', pg_get_userbyid(a.grantor)::text, '', ''
  from (select relnamespace as space, relowner as owner, relacl as acl from pg_class where relacl is not null
        union all select c.relnamespace, c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid where a.attacl is not null
        union all select pronamespace, proowner, proacl from pg_proc where proacl is not null
        union all select typnamespace, typowner, typacl from pg_type where typacl is not null
        union all select oid, nspowner, nspacl from pg_namespace where nspacl is not null) g
  join space s on s.oid = g.space cross join lateral aclexplode(g.acl) a
 where a.grantor <> g.owner
 order by 1, 2, 3

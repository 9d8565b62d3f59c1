-- Temporary relations live in pg_temp_*, TOAST tables in pg_toast: both fall to the first predicate.
select c.oid::int8 as oid, n.nspname::text as schema, c.relname::text as name,
       c.relkind::text as kind, c.relpersistence::text as persistence,
       pg_get_userbyid(c.relowner)::text as owner,
       c.relispartition as partition, coalesce(e.extname::text, '') as extension,
       c.relreplident::text as identity, c.relrowsecurity as rls, {{oids}} as with_oids,
       c.relkind = 'm' and c.relispopulated as populated,
       -- never analyzed is -1 from 14 on, 0 before
       greatest(c.reltuples, 0)::int8 as rows,
       -- what PostgreSQL asks for in CREATE PUBLICATION: the privileges of the owner, inherited
       pg_has_role(c.relowner, 'usage') as owned,
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable,
       c.relrowsecurity and row_security_active(c.oid) as filtered
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
                       and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind in ('r', 'p', 'm', 'f', 'v')
   and c.relpersistence <> 't'
 order by n.nspname::text collate "C", c.relname::text collate "C"

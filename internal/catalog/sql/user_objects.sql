-- A sample of what somebody else made here. Row types and array types come with their tables, members with
-- their extensions; an empty schema public comes with the database.
with object (class, oid, kind, schema, name) as (
    select 'pg_class'::regclass, c.oid, case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
             when 'f' then 'foreign table' when 'S' then 'sequence' when 'c' then 'type' else 'table' end,
           n.nspname::text, c.relname::text
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm', 'f', 'v', 'S', 'c') and c.relpersistence <> 't'
    union all
    select 'pg_proc'::regclass, p.oid, 'function', n.nspname::text, p.proname::text
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    union all
    select 'pg_type'::regclass, t.oid, 'type', n.nspname::text, t.typname::text
      from pg_type t join pg_namespace n on n.oid = t.typnamespace
     where t.typtype in ('d', 'e', 'r')
    union all
    select 'pg_namespace'::regclass, n.oid, 'schema', n.nspname::text, ''
      from pg_namespace n
     where n.nspname <> 'public'
)
select o.kind, o.schema, o.name
  from object o
 where o.schema !~ '^pg_' and o.schema not in ('information_schema', 'pgleap')
   and not exists (select 1 from pg_depend d
                    where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
 order by array_position(array['table', 'materialized view', 'foreign table', 'view', 'sequence', 'function', 'type', 'schema'], o.kind),
          o.schema collate "C", o.name collate "C"
 limit 20

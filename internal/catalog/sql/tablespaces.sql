-- tablespaces
-- A dump of definitions names the tablespace of everything that has one of its own. Tables that stand in the
-- database's default tablespace have 0 there.
with placed as (
    select c.reltablespace as space, n.nspname as schema, c.relname as name
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.reltablespace <> 0 and c.relkind in ('r', 'p', 'm')
    union
    select i.reltablespace, n.nspname, c.relname
      from pg_class i
      join pg_index x on x.indexrelid = i.oid
      join pg_class c on c.oid = x.indrelid
      join pg_namespace n on n.oid = c.relnamespace
     where i.reltablespace <> 0 and c.relkind in ('r', 'p', 'm')
)
select t.spcname::text as name, pg_tablespace_location(t.oid) as location,
       has_tablespace_privilege(t.oid, 'create') as can_create,
       array(select p.schema::text from placed p where p.space = t.oid and p.schema !~ '^pg_' and p.schema <> 'pgleap' order by p.schema, p.name) as schemas,
       array(select p.name::text from placed p where p.space = t.oid and p.schema !~ '^pg_' and p.schema <> 'pgleap' order by p.schema, p.name) as tables
  from pg_tablespace t
 where t.spcname not in ('pg_default', 'pg_global')
 order by t.spcname

-- Tables that belong to an extension and may hold rows that its script does not make: those that the extension
-- itself has marked, with the condition that tells the users' rows from its own, and those that were added
-- later. What the script makes is written down in the transaction of CREATE EXTENSION; an update of the
-- extension, or pg_upgrade, blurs that: then a table is asked about once too often.
select n.nspname::text as schema, c.relname::text as name, e.extname::text as extension,
       c.oid = any (coalesce(e.extconfig, '{}')) as config,
       coalesce(e.extcondition[array_position(e.extconfig, c.oid)], '') as condition,
       c.relpages > 0 as filled,
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
         and not exists (select 1 from pg_locks l
                          where l.locktype = 'relation' and l.relation = c.oid and l.mode = 'AccessExclusiveLock'
                            and l.database = (select oid from pg_database where datname = current_database())) as readable
  from pg_extension e
  join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
                  and d.classid = 'pg_class'::regclass and d.objsubid = 0
  join pg_class c on c.oid = d.objid and c.relkind in ('r', 'p') and c.relpersistence <> 't'
  join pg_namespace n on n.oid = c.relnamespace
 where c.oid = any (coalesce(e.extconfig, '{}')) or not d.xmin = e.xmin
 order by n.nspname::text collate "C", c.relname::text collate "C"

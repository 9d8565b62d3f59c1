-- collations
-- Those that a column of a user's relation has, and all that users made. A collation of no version cannot
-- change (C, POSIX, builtin), or nobody knows.
select n.nspname::text as schema, c.collname::text as name,
       case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end as provider,
       coalesce(c.collversion, '') as recorded, coalesce(pg_collation_actual_version(c.oid), '') as actual
  from pg_collation c
  join pg_namespace n on n.oid = c.collnamespace
 where c.collprovider <> 'd'
   and n.nspname <> 'pgleap'
   and (c.oid >= 16384 or c.oid in (
         select a.attcollation
           from pg_attribute a
           join pg_class r on r.oid = a.attrelid
          where a.attcollation not in (0, 100) and a.attnum > 0 and not a.attisdropped
            and r.oid >= 16384 and r.relkind in ('r', 'p', 'm', 'i', 'I')))
   and c.collcollate is distinct from 'C' and c.collcollate is distinct from 'POSIX'
 order by schema, name

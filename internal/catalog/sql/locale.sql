-- locale
-- The columns have changed their names: daticulocale (15, 16) is datlocale from 17 on. Before 15 a database
-- knows no version of its collation; from 13 on a collation of the same name tells what the machine has.
select case to_jsonb(d) ->> 'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end as provider,
       d.datcollate::text as collate, d.datctype::text as ctype,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') as name,
       coalesce(to_jsonb(d) ->> 'datcollversion', '') as recorded,
       coalesce({{datactual}},
         (select max(pg_collation_actual_version(c.oid)) from pg_collation c
           where c.collprovider = 'c' and c.collcollate = d.datcollate and c.collnamespace = 'pg_catalog'::regnamespace), '') as actual,
       coalesce((select pg_collation_actual_version(c.oid) from pg_collation c
                  where c.collname = 'und-x-icu' and c.collnamespace = 'pg_catalog'::regnamespace), '') as icu,
       t.spcname::text as tablespace
  from pg_database d
  join pg_tablespace t on t.oid = d.dattablespace
 where d.datname = current_database()

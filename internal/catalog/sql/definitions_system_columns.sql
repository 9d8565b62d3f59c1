-- What PostgreSQL's own relations have here.
select n.nspname::text || '.' || c.relname::text as relation, array_agg(a.attname::text order by a.attnum) as columns
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')
 group by 1

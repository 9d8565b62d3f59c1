-- Materialized views that REFRESH ... CONCURRENTLY takes: it asks for a unique index over columns, over all rows
-- (is_usable_unique_index in matview.c).
select n.nspname::text as schema, c.relname::text as name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind = 'm'
   and exists (select from pg_index i
                where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid
                  and i.indpred is null and i.indexprs is null)
 order by n.nspname::text collate "C", c.relname::text collate "C"

-- Indexes that nobody may rely on.
select n.nspname::text as schema, x.relname::text as name
  from pg_index i join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = x.relnamespace
 where not (i.indisvalid and i.indisready) and x.relkind = 'i'
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
 order by 1, 2

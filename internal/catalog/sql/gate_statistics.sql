-- Tables with more than 64 kB, and partitioned roots above such, without a row of statistics. pg_stats shows what the
-- role may read; it owns the tables, or its members do.
with big as (
  select c.oid, c.relnamespace, c.relname, c.relkind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap') and c.relkind in ('r', 'p')
     and (c.relkind = 'r' and pg_relation_size(c.oid) > 65536
          or c.relkind = 'p' and exists (select from pg_inherits i where i.inhparent = c.oid and pg_relation_size(i.inhrelid) > 65536)))
select n.nspname::text as schema, b.relname::text as name
  from big b join pg_namespace n on n.oid = b.relnamespace
 where exists (select from pg_attribute a where a.attrelid = b.oid and a.attnum > 0 and not a.attisdropped)
   and not exists (select from pg_stats s where s.schemaname = n.nspname and s.tablename = b.relname and s.inherited = (b.relkind = 'p'))
 order by 1, 2

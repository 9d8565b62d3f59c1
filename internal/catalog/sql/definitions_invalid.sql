-- Indexes that a failed or running build has left, and constraints that were never validated. An index of a
-- partitioned table is not valid while a partition lacks its own: pg_dump carries that.
select 'index' as kind, n.nspname::text as schema, c.relname::text as relation, x.relname::text as name,
       i.indisunique as is_unique,
       -- a build that is running
       exists (select from pg_locks l where l.locktype = 'relation' and l.relation = i.indexrelid and l.mode = 'RowExclusiveLock' and l.granted
                 and l.database = (select oid from pg_database where datname = current_database())) as running
  from pg_index i
  join pg_class x on x.oid = i.indexrelid and x.relkind = 'i'
  join pg_class c on c.oid = i.indrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not (i.indisvalid and i.indisready and i.indislive)
union all
select case when k.contypid <> 0 then 'domain constraint' when k.contype = 'f' then 'foreign key'
            when k.contype = 'c' then 'check constraint' else 'constraint' end,
       n.nspname::text, coalesce(c.relname, t.typname)::text, k.conname::text, false, false
  from pg_constraint k
  left join pg_class c on c.oid = k.conrelid
  left join pg_type t on t.oid = k.contypid
  join pg_namespace n on n.oid = coalesce(c.relnamespace, t.typnamespace)
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not k.convalidated and {{enforced}} and {{written}}
 order by 1, 2, 3, 4

-- From 11 on a foreign key of a partitioned table has copies on its leaves, from 12 on also towards the
-- leaves it points to: only the one that was written counts.
select k.conname::text as name, k.conrelid::int8 as child, k.confrelid::int8 as parent
  from pg_constraint k
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f' and {{written}}
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
 order by n.nspname::text collate "C", c.relname::text collate "C", k.conname::text collate "C"

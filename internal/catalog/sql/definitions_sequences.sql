-- Where the sequences stand. The position is null for one that was never called, for one that we may not read,
-- and for one on which somebody holds, or waits for, a lock that ours (ROW EXCLUSIVE until 17) would wait for.
-- Some at a time: each keeps a lock until its statement ends, and the server's table of locks is small.
with busy as (
    select l.relation
      from pg_locks l
     where l.locktype = 'relation' and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       and l.database = (select oid from pg_database where datname = current_database())
), part as (
    select c.oid, n.nspname, c.relname
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and c.relkind = 'S' and c.relpersistence <> 't' and c.oid::int8 > $1
     order by c.oid
     limit $2
), sequence as (
    select c.oid, c.nspname, c.relname, has_sequence_privilege(c.oid, 'select') as readable, c.oid in (select relation from busy) as busy
      from part c
)
select s.oid::int8 as oid, s.nspname::text as schema, s.relname::text as name, s.readable, s.busy,
       case when s.readable and not s.busy then {{position}} end as last,
       coalesce(n.nspname::text, '') as table_schema, coalesce(t.relname::text, '') as table_name,
       coalesce(a.attname::text, '') as column, coalesce(format_type(coalesce(nullif(y.typbasetype, 0), y.oid), null), '') as column_type
  from sequence s
  -- a: serial and OWNED BY, i: identity
  left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.objsubid = 0
                       and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  left join pg_class t on t.oid = d.refobjid
  left join pg_namespace n on n.oid = t.relnamespace
  left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  left join pg_type y on y.oid = a.atttypid
 order by s.oid

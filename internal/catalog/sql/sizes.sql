-- pg_relation_size opens the relation: behind somebody's ACCESS EXCLUSIVE lock (held, or only waited for) the
-- reading would wait too, so such relations are estimated from their pages. Of an empty table neither the indexes nor
-- the TOAST table are looked at: with thousands of tables these calls are what takes the time.
with locked as (
    select l.relation
      from pg_locks l
     where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
       and l.database = (select oid from pg_database where datname = current_database())
), stored as (
    select c.oid, c.reltoastrelid,
           case when c.oid in (select relation from locked) then c.relpages * current_setting('block_size')::int8
                else pg_relation_size(c.oid) end as bytes
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and c.relkind in ('r', 'm') and c.relpersistence <> 't'
), file as (
    select s.oid as relation, s.reltoastrelid as file, false as index from stored s where s.bytes > 0 and s.reltoastrelid <> 0
    union all select s.oid, i.indexrelid, true from stored s join pg_index i on i.indrelid = s.oid where s.bytes > 0
), sized as (
    select f.relation, f.index,
           case when f.file in (select relation from locked) or f.relation in (select relation from locked)
                then c.relpages * current_setting('block_size')::int8
                else pg_relation_size(f.file) end as bytes
      from file f
      join pg_class c on c.oid = f.file
    union all select oid, false, bytes from stored
)
select sized.relation::int8 as relation,
       coalesce(sum(sized.bytes) filter (where not sized.index), 0)::int8 as bytes,
       coalesce(sum(sized.bytes) filter (where sized.index), 0)::int8 as index_bytes,
       (pg_stat_get_tuples_inserted(sized.relation) + pg_stat_get_tuples_updated(sized.relation) + pg_stat_get_tuples_deleted(sized.relation))::int8 as changes
  from sized
 group by sized.relation

-- Objects of pgleap. A pg_<subscription>_sync_<table>_<system> slot belongs to a first copy; one that nobody
-- uses was left over by a copy that was given up. Names of slots are unique in the cluster: 'taken' are those
-- of other databases.
select 'slot' as kind, '' as schema, s.slot_name::text as name, '' as remark, s.active and s.slot_name ~ '^pg_' as busy
  from pg_replication_slots s
 where s.database = current_database()
   and (s.slot_name ~ '^pgleap_' or s.slot_name ~ '^pg_[0-9]+_sync_[0-9]+')
union all
select 'taken', '', s.slot_name::text, case when s.database is null then 'is a physical slot' else 'belongs to database ' || s.database end, false
  from pg_replication_slots s
 where s.database is distinct from current_database()
   and s.slot_name ~ '^pgleap_'
union all
select 'publication', '', p.pubname::text, '', false
  from pg_publication p
 where p.pubname ~ '^pgleap_'
union all
select 'subscription', '', s.subname::text, '', false
  from pg_subscription s
 where s.subname ~ '^pgleap_'
   and s.subdbid = (select oid from pg_database where datname = current_database())
union all
select 'schema', '', n.nspname::text, coalesce(obj_description(n.oid, 'pg_namespace'), ''), false
  from pg_namespace n
 where n.nspname = 'pgleap'
union all
select 'trigger', n.nspname::text, c.relname::text, '', false
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
 where t.tgname = 'zz_pgleap_fence' and not t.tgisinternal
union all
-- A scratch database of a trial load. A check that is at work has a session in it, and from before it writes the
-- comment until the database is gone an advisory lock with its oid.
select 'database', '', d.datname::text, coalesce(shobj_description(d.oid, 'pg_database'), ''), false
  from pg_database d
 where d.datname ~ '^pgleap_trial_[0-9a-f]{8}$'
   and shobj_description(d.oid, 'pg_database') ~ '^pgleap run='
   and not exists (select from pg_stat_activity a where a.datid = d.oid and coalesce(a.backend_type, 'not ours to see') not like 'autovacuum%')
   and not exists (select from pg_locks l where l.locktype = 'advisory' and l.classid = 1885828210 and l.objid = d.oid)
 order by kind, schema, name

-- consumers
-- Who else reads this database's changes, or brings changes into it. What is pgleap's is left out; a
-- pg_<subscription>_sync_<table>_<system> slot belongs to somebody's first copy and goes with it.
select 'slot' as kind, s.slot_name::text as name, coalesce(s.database::text, '') as database,
       coalesce(s.plugin::text, '') as plugin, s.active, false as all_tables, 0 as tables
  from pg_replication_slots s
 where (s.database = current_database() or s.database is null)
   and not s.temporary and s.slot_name !~ '^pgleap_' and s.slot_name !~ '^pg_[0-9]+_sync_[0-9]+'
union all
select 'publication', p.pubname::text, '', '', false, p.puballtables,
       -- of all tables the view would be slow, and the number says nothing
       case when p.puballtables then 0 else (select count(*) from pg_publication_tables t where t.pubname = p.pubname) end::int
  from pg_publication p
 where p.pubname !~ '^pgleap_'
union all
select 'subscription', s.subname::text, '', '', false, false, 0
  from pg_subscription s
 where s.subname !~ '^pgleap_'
   and s.subdbid = (select oid from pg_database where datname = current_database())
union all
-- a walsender that no logical slot has is a standby's, or a backup's, which ends
select 'standby', '', '', '', true, false, count(*)::int
  from pg_stat_replication r
 where r.state in ('streaming', 'catchup')
   and not exists (select 1 from pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
having count(*) > 0
 order by kind, name

-- Only a transaction that has an id makes the slot's creation wait; a very old one is named all the same: it
-- may hold a lock that the switch needs. Of other roles' sessions a role without pg_read_all_stats sees no age.
select a.pid, coalesce(a.usename::text, '') as username, coalesce(a.datname::text, '') as database,
       a.application_name as application, coalesce(a.state, '') as state,
       extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
       a.backend_xid is not null as writes, left(a.query, 80) as query
  from pg_stat_activity a
 where a.pid <> pg_backend_pid() and a.backend_type <> 'walsender'
   and (a.xact_start < clock_timestamp() - interval '5 minutes'
        or (a.backend_xid is not null and a.xact_start < clock_timestamp() - interval '5 seconds'))
 order by a.xact_start

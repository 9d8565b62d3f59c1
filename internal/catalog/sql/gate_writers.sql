-- Sessions of others in the target's database that have a transaction id: they have written, or are about to.
-- Ours are named; workers of replication are no client backends.
select a.pid, coalesce(a.usename, '')::text as username, coalesce(a.application_name, '')::text as application,
       coalesce(left(a.query, 200), '')::text as text
  from pg_stat_activity a
 where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
   and a.backend_xid is not null and a.application_name not like 'pgleap%'
 order by a.xact_start

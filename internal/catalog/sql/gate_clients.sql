-- Client sessions in the database, but ours, replication's and those of the pids $1.
select coalesce(a.usename, '')::text as username, coalesce(a.application_name, '')::text as application,
       coalesce(host(a.client_addr), '')::text as address, count(*)::int as sessions
  from pg_stat_activity a
 where a.datname = current_database() and a.backend_type = 'client backend' and a.application_name not like 'pgleap%' and a.pid <> all (coalesce($1::int4[], '{}'))
 group by 1, 2, 3
 order by 4 desc, 1, 2, 3

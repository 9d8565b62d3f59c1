-- Client sessions in the source's database, but ours and the subscription's.
select coalesce(a.usename, '')::text as username, coalesce(a.application_name, '')::text as application,
       coalesce(host(a.client_addr), '')::text as address, count(*)::int as sessions
  from pg_stat_activity a
 where a.datname = current_database() and a.backend_type = 'client backend' and a.application_name not like 'pgleap%'
 group by 1, 2, 3
 order by 4 desc, 1, 2, 3

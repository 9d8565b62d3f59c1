-- role_timeouts
-- Not in pg_settings: they begin with a session of that role.
select coalesce(r.rolname::text, '') as role, split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as setting
  from pg_db_role_setting s
  left join pg_roles r on r.oid = s.setrole
 cross join unnest(s.setconfig) c
 where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
   and c ~ '^(lock_timeout|statement_timeout)='
   and r.rolname is distinct from current_user
 order by 1, 2, s.setdatabase

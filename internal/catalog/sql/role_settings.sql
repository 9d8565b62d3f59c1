-- In the order in which they were made: a setting that was put back stands where it stood.
select coalesce(r.rolname::text, '') as role, s.setdatabase <> 0 as database,
       split_part(c.setting, '=', 1) as name, substr(c.setting, strpos(c.setting, '=') + 1) as value
  from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
       cross join lateral unnest(s.setconfig) with ordinality c(setting, place)
 where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
   and (s.setrole = 0 or r.rolname is not null)
 order by r.rolname::text collate "C" nulls first, 2, c.place

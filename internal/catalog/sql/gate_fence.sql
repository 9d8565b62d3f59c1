-- Whom the fence would let pass: roles and databases that are set to write as a replica, and tables of which
-- somebody has switched its trigger off.
select 'setting' as kind, coalesce(r.rolname, '')::text as role, coalesce(d.datname, '')::text as database, ''::text as schema, ''::text as name
  from pg_db_role_setting s
  left join pg_roles r on r.oid = s.setrole
  left join pg_database d on d.oid = s.setdatabase
 where exists (select from unnest(s.setconfig) c where lower(c) = 'session_replication_role=replica')
   and (s.setdatabase = 0 or d.datname = current_database())
   and (s.setrole = 0 or r.rolcanlogin)
union all
select 'trigger', '', '', n.nspname::text, c.relname::text
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
 where t.tgname = 'zz_pgleap_fence' and not t.tgisinternal and t.tgenabled not in ('O', 'A')
 order by 1, 2, 3, 4, 5

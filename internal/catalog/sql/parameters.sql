-- What ALTER ROLE and ALTER DATABASE take; other settings belong to the whole server.
select lower(s.name) as name,
       s.context in ('user', 'backend')
       or s.context in ('superuser', 'superuser-backend') and (me.rolsuper or {{granted}}) as may
  from pg_settings s cross join (select rolsuper from pg_roles where rolname = current_user) me

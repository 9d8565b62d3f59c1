-- Whoever may create roles gives away, before 16, every role that is no superuser; from 16 on only what it
-- administers.
select r.rolname::text as name, r.oid = 10 as bootstrap, r.rolsuper as superuser, r.rolinherit as inherit, r.rolcreaterole as create_role,
       r.rolcreatedb as create_db, r.rolcanlogin as login, r.rolreplication as replication, r.rolbypassrls as bypass_rls,
       r.rolconnlimit as connection_limit,
       coalesce(case when isfinite(r.rolvaliduntil) then (r.rolvaliduntil at time zone 'UTC')::text || '+00' else r.rolvaliduntil::text end, '') as valid_until,
       coalesce(shobj_description(r.oid, 'pg_authid'), '') as comment,
       r.rolcanlogin and has_database_privilege(r.oid, current_database(), 'connect') as connects,
       not me.rolsuper and (pg_has_role(r.oid, 'member with admin option') or {{administers}}) as grantable
  from pg_roles r cross join (select rolsuper, rolcreaterole from pg_roles where rolname = current_user) me
 order by r.rolname::text collate "C"

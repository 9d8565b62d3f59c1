-- Managed services do not give the attributes away: a membership stands in for REPLICATION on RDS, and their
-- administrators may create subscriptions without being superusers.
select r.rolname::text as name, r.rolsuper as superuser,
       r.rolsuper or r.rolreplication or exists (
         select 1 from pg_roles m where m.rolname = 'rds_replication' and pg_has_role(m.oid, 'usage')) as replication,
       has_database_privilege(current_database(), 'create') as create_on_database,
       r.rolsuper or exists (
         select 1 from pg_roles m
          where m.rolname in ('pg_create_subscription', 'rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')
            and pg_has_role(m.oid, 'usage')) as create_subscription,
       r.rolsuper or r.rolbypassrls as bypass_rls,
       pg_has_role('pg_read_all_stats', 'usage') as sees_sessions,
       -- usage: its privileges are inherited; set (until 15 every member may): SET ROLE, and hand objects to it
       array(select m.rolname::text from pg_roles m where pg_has_role(m.oid, 'usage') order by 1) as member_of,
       array(select m.rolname::text from pg_roles m where pg_has_role(m.oid, {{may_set}}) order by 1) as can_set,
       array(select m.rolname::text from pg_roles m where m.rolsuper order by 1) as superusers,
       (select pg_get_userbyid(datdba)::text from pg_database where datname = current_database()) as database_owner,
       coalesce(pg_get_userbyid(n.nspowner)::text, '') as public_owner,
       coalesce(pg_has_role(n.nspowner, 'usage'), true) as owns_public,
       array(select spcname::text from pg_tablespace t where not has_tablespace_privilege(t.oid, 'create') order by 1) as no_tablespaces,
       array(select fdwname::text from pg_foreign_data_wrapper w where not has_foreign_data_wrapper_privilege(w.oid, 'usage') order by 1) as no_wrappers
  from pg_roles r left join pg_namespace n on n.nspname = 'public'
 where r.rolname = current_user

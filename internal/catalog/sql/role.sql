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
       case when r.rolsuper then '{}'::text[] else array(
         select m.rolname::text from pg_roles m where pg_has_role(m.oid, 'member') order by 1) end as member_of
  from pg_roles r
 where r.rolname = current_user

-- pg_settings cannot say whether an ordinary session may write: our own sessions override
-- default_transaction_read_only at their start. What ALTER DATABASE and ALTER ROLE set stands in the catalog.
select current_setting('server_version_num')::int as version,
       d.datname::text as database,
       current_user::text as username,
       pg_encoding_to_char(d.encoding)::text as encoding,
       pg_is_in_recovery() as recovery,
       exists (select 1
                 from pg_db_role_setting s, unnest(s.setconfig) c
                where s.setdatabase in (0, d.oid)
                  and s.setrole in (0, (select oid from pg_roles where rolname = current_user))
                  and c = 'default_transaction_read_only=on') as read_only,
       has_function_privilege('pg_control_system()', 'execute') as control,
       (select count(*) from pg_largeobject_metadata) as large_objects,
       (select count(*) from pg_replication_slots)::int as slots_used,
       (select count(*) from pg_stat_replication)::int as senders_used,
       (select count(*) from pg_stat_subscription where pid is not null)::int as workers_used,
       (select count(*) from pg_replication_origin)::int as origins_used
  from pg_database d
 where d.datname = current_database()

-- databases
-- Other databases of the cluster. Everybody has a database postgres; one of the size of an empty database, or
-- whose size this role may not see, is not worth a word.
select d.datname::text
  from pg_database d
 where d.datallowconn and not d.datistemplate
   and d.datname <> current_database()
   and (d.datname <> 'postgres'
        or case when has_database_privilege(d.oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage')
                then pg_database_size(d.oid) > 16 * 1024 * 1024 end)
 order by d.datname::text collate "C"

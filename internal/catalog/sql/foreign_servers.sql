-- foreign_servers
-- Of the options only the host is read, of the mappings only whose they are and the names of the options that
-- schema.Dump leaves out: their values are passwords.
select s.srvname::text as name, w.fdwname::text as wrapper,
       coalesce((select substr(o, strpos(o, '=') + 1) from unnest(s.srvoptions) o
                  where o ~ '^(host|hostaddr)=' order by o limit 1), '') as host,
       array(select m.usename::text from pg_user_mappings m where m.srvid = s.oid order by m.umid) as users,
       array(select array_to_string(array(
               select split_part(o, '=', 1) from unnest(m.umoptions) o
                where split_part(o, '=', 1) ~ '(password|passwd|pwd|passphrase)$|secret|token|credential|(api|access|account|private)_?key'), ' ')
               from pg_user_mappings m where m.srvid = s.oid order by m.umid) as secrets
  from pg_foreign_server s
  join pg_foreign_data_wrapper w on w.oid = s.srvfdw
 where not exists (select 1 from pg_depend d
                    where d.classid = 'pg_foreign_server'::regclass and d.objid = s.oid and d.deptype = 'e')
 order by s.srvname

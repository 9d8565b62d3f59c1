-- The bodies of functions in SQL and PL/pgSQL. One in SQL syntax (14) has none: its names are bound.
select p.oid::int8 as oid, n.nspname::text as schema, p.proname::text as name, pg_get_function_identity_arguments(p.oid) as arguments,
       l.lanname::text as language, p.prosrc as body, coalesce(e.extname::text, '') as extension,
       coalesce(array_to_string(p.proconfig, ',') ~ '(^|,)search_path=', false) as path_set
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
  left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')

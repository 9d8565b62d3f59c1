select n.nspname::text as schema, c.relname::text as name, format_type(s.seqtypid, null) as type,
       s.seqstart as start, s.seqincrement as increment, s.seqmin as min, s.seqmax as max,
       s.seqcache as cache, s.seqcycle as cycle,
       coalesce(o.refobjid, 0)::int8 as owner, coalesce(e.extname::text, '') as extension,
       has_schema_privilege(n.oid, 'usage') and has_sequence_privilege(c.oid, 'select') as readable
  from pg_sequence s
  join pg_class c on c.oid = s.seqrelid
  join pg_namespace n on n.oid = c.relnamespace
  -- a: serial and OWNED BY, i: identity
  left join pg_depend o on o.classid = 'pg_class'::regclass and o.objid = c.oid and o.objsubid = 0
                       and o.refclassid = 'pg_class'::regclass and o.refobjsubid > 0 and o.deptype in ('a', 'i')
  left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
                       and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relpersistence <> 't'
 order by n.nspname::text collate "C", c.relname::text collate "C"

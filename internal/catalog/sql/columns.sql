select a.attrelid::int8 as relation, a.attname::text as name, a.atttypid::int8 as type_oid,
       format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null,
       a.attidentity::text as identity, {{generated}}::text as generated
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind in ('r', 'p', 'm', 'f')
   and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum

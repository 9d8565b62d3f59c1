-- What an unqualified name in a body can mean only by a search_path: names that pg_catalog does not have.
select 'relation' as kind, n.nspname::text as schema, c.relname::text as name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
   and not exists (select from pg_class s where s.relnamespace = 'pg_catalog'::regnamespace and s.relname = c.relname)
union
select 'function', n.nspname::text, p.proname::text
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not exists (select from pg_proc s where s.pronamespace = 'pg_catalog'::regnamespace and s.proname = p.proname)
union
select 'type', n.nspname::text, t.typname::text
  from pg_type t
  join pg_namespace n on n.oid = t.typnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and t.typname !~ '^_'
   and not exists (select from pg_type s where s.typnamespace = 'pg_catalog'::regnamespace and s.typname = t.typname)

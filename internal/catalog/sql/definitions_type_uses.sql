-- Columns whose values may be more on a newer server than on an older one: of enums and of the types named, also
-- within arrays, domains, ranges and composites. A numeric with a precision holds no infinity, so it is left out.
with recursive used (root, rooted, oid, bounded) as (
    select distinct a.atttypid, a.atttypmod >= 0, a.atttypid, a.atttypmod >= 0
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union
    select u.root, u.rooted, p.part, p.bounded
      from used u
      join pg_type t on t.oid = u.oid
     cross join lateral (
       select t.typbasetype, u.bounded or t.typtypmod >= 0 where t.typtype = 'd'
       union all select t.typelem, u.bounded where t.typtype <> 'd' and t.typelem <> 0 and t.typlen = -1
       union all select g.rngsubtype, false from pg_range g where g.rngtypid = t.oid
       union all select a.atttypid, a.atttypmod >= 0 from pg_attribute a
                  where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) p (part, bounded)
), told as (
    select distinct u.root, u.rooted, t.typtype = 'e' as enum, format_type(t.oid, null) as type
      from used u
      join pg_type t on t.oid = u.oid
     where t.typtype = 'e'
        or t.typnamespace = 'pg_catalog'::regnamespace and t.typname in ('interval', 'jsonpath', 'char', 'aclitem')
        or t.oid = 'pg_catalog.numeric'::regtype and not u.bounded
)
select told.type, told.enum, n.nspname::text as schema, c.relname::text as relation, a.attname::text as column
  from told
  join pg_attribute a on a.atttypid = told.root and (a.atttypmod >= 0) = told.rooted and a.attnum > 0 and not a.attisdropped
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind = 'r'
 order by told.type, n.nspname::text collate "C", c.relname::text collate "C", a.attnum

-- The columns of PostgreSQL's own relations, and of those of extensions, that views and rules read. pg_depend
-- does not hold them all (what is pinned has no dependencies), so they are taken from the rules themselves: each
-- relation of a stored query tells in selectedCols which columns are read, numbered from the first system column.
with member as (
    select d.objid, e.extname
      from pg_depend d
      join pg_extension e on e.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and d.objsubid = 0
), use as (
    select w.ev_class, m[1]::oid as relation, unnest(string_to_array(nullif(trim(m[2]), ''), ' '))::int - {{first_column}} as column
      from pg_rewrite w
      join pg_class c on c.oid = w.ev_class
      join pg_namespace n on n.oid = c.relnamespace,
      lateral regexp_matches(w.ev_action::text, ':relid ([0-9]+) [^{}]*:selectedCols \(b ?([0-9 ]*)\)', 'g') m
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and not exists (select from member where member.objid = w.ev_class)
)
select distinct n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
       rn.nspname::text as relation_schema, r.relname::text as relation, a.attname::text as column, coalesce(m.extname::text, '') as extension
  from use u
  join pg_class c on c.oid = u.ev_class
  join pg_namespace n on n.oid = c.relnamespace
  join pg_class r on r.oid = u.relation
  join pg_namespace rn on rn.oid = r.relnamespace
  left join member m on m.objid = r.oid
  join pg_attribute a on a.attrelid = u.relation and a.attnum = u.column and a.attnum > 0
 where rn.nspname in ('pg_catalog', 'information_schema') or m.extname is not null
 order by 1, 2, 4, 5, 6

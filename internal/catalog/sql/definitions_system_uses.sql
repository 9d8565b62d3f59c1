-- The columns of PostgreSQL's own relations, and of those of extensions, that views and rules read. pg_depend
-- does not hold them all (what is pinned has no dependencies), so they are taken from the rules themselves: each
-- relation of a stored query tells in selectedCols which columns are read, numbered from the first system column.
with member as (
    select d.objid, e.extname
      from pg_depend d
      join pg_extension e on e.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and d.objsubid = 0
), system as (
    select c.oid
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')
    union
    select objid from member
), piece as (
    -- cut, not matched: regular expressions over long rules take ten times as long
    select w.ev_class, unnest(string_to_array(w.ev_action::text, ':relid ')) as text
      from pg_rewrite w
      join pg_class c on c.oid = w.ev_class
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and not exists (select from member where member.objid = w.ev_class)
), use as (
    select p.ev_class, split_part(p.text, ' ', 1)::oid as relation,
           unnest(string_to_array(nullif(trim(split_part(split_part(p.text, ':selectedCols (b', 2), ')', 1)), ''), ' '))::int - {{first_column}} as column
      from piece p
     -- the first piece comes before any relation; selectedCols behind a brace are another's
     where split_part(p.text, ' ', 1) in (select oid::text from system) and strpos(split_part(p.text, ':selectedCols', 1), '{') = 0
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
 order by 1, 2, 4, 5, 6

-- Definitions that stand on what a newer major no longer has. Members of extensions are the extension's matter.
with member as (
    select classid, objid from pg_depend where deptype = 'e'
), old as (
    select t.oid, t.typname from pg_type t
     where t.typnamespace = 'pg_catalog'::regnamespace and t.typname in ('abstime', 'reltime', 'tinterval')
), old_type as (
    -- the types themselves, their arrays, and domains over either
    select oid, typname from old
    union all select t.oid, o.typname from pg_type t join old o on t.typelem = o.oid
    union all select t.oid, o.typname from pg_type t join old o on t.typbasetype = o.oid
), changed as (
    -- from 14 on they take anycompatiblearray (pg_upgrade, check_for_incompatible_polymorphics)
    select p.oid, p.proname from pg_proc p
     where p.pronamespace = 'pg_catalog'::regnamespace
       and p.proname in ('array_append', 'array_cat', 'array_prepend', 'array_remove', 'array_replace', 'array_position', 'array_positions', 'width_bucket')
       and 'anyarray'::regtype = any (p.proargtypes)
)
select 'column' as kind, n.nspname::text as schema, c.relname::text as name, a.attname::text as member, o.typname::text as uses
  from pg_attribute a
  join old_type o on o.oid = a.atttypid
  join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'f', 'c')
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and a.attnum > 0 and not a.attisdropped
   and not exists (select from member m where m.classid = 'pg_class'::regclass and m.objid = c.oid)
union all
select 'domain', n.nspname::text, t.typname::text, '', o.typname::text
  from pg_type t
  join old_type o on o.oid = t.oid
  join pg_namespace n on n.oid = t.typnamespace
 where t.typtype = 'd' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
union all
select 'function', n.nspname::text, p.proname::text, pg_get_function_identity_arguments(p.oid), min(o.typname)::text
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join old_type o on o.oid = any (p.proargtypes) or o.oid = p.prorettype
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not exists (select from member m where m.classid = 'pg_proc'::regclass and m.objid = p.oid)
 group by n.nspname, p.proname, p.oid
union all
select 'postfix operator', n.nspname::text, o.oprname::text, format_type(o.oprleft, null), ''
  from pg_operator o
  join pg_namespace n on n.oid = o.oprnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   -- without a left side it is a shell that nobody has finished
   and o.oprright = 0 and o.oprleft <> 0
   and not exists (select from member m where m.classid = 'pg_operator'::regclass and m.objid = o.oid)
union all
select 'aggregate', n.nspname::text, p.proname::text, pg_get_function_identity_arguments(p.oid), min(f.proname)::text
  from pg_aggregate g
  join pg_proc p on p.oid = g.aggfnoid
  join pg_namespace n on n.oid = p.pronamespace
  join changed f on f.oid in (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not exists (select from member m where m.classid = 'pg_proc'::regclass and m.objid = p.oid)
 group by n.nspname, p.proname, p.oid
union all
select 'operator', n.nspname::text, o.oprname::text, concat_ws(', ', format_type(nullif(o.oprleft, 0), null), format_type(nullif(o.oprright, 0), null)), f.proname::text
  from pg_operator o
  join pg_namespace n on n.oid = o.oprnamespace
  join changed f on f.oid = o.oprcode
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and not exists (select from member m where m.classid = 'pg_operator'::regclass and m.objid = o.oid)
union all
-- a cast between two types of PostgreSQL's own: a newer major may have made one itself
select 'cast', '', format_type(k.castsource, null), format_type(k.casttarget, null), ''
  from pg_cast k
  join pg_type s on s.oid = k.castsource and s.typnamespace = 'pg_catalog'::regnamespace
  join pg_type t on t.oid = k.casttarget and t.typnamespace = 'pg_catalog'::regnamespace
 where k.oid >= 16384
   and not exists (select from member m where m.classid = 'pg_cast'::regclass and m.objid = k.oid)
 order by 1, 2, 3, 4

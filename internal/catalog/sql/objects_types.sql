-- Types of one's own: enums, domains, composites, ranges, base types. Multiranges come with their range from 14
-- on, arrays and row types with what they are of.
with own as (
  select t.oid as id, t.*, n.nspname
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    left join pg_class c on c.oid = t.typrelid
   where t.typtype in ('b', 'c', 'd', 'e', 'p', 'r') and (t.typrelid = 0 or c.relkind = 'c')
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and not exists (select from pg_type e where e.typarray = t.oid)
     and t.oid not in (select objid from pg_depend where classid = 'pg_type'::regclass and deptype = 'e')
)
select 'type' as kind, t.nspname as schema, t.typname as name, '' as member, false as of_relation,
       concat_ws('; ',
         case t.typtype when 'b' then 'base' when 'c' then 'composite' when 'd' then 'domain' when 'e' then 'enum' when 'p' then 'shell' else 'range' end,
         'owner ' || pg_get_userbyid(t.typowner),
         'labels ' || (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.id),
         case when t.typtype = 'd' then concat_ws(' ', 'as ' || format_type(t.typbasetype, t.typtypmod),
           'default ' || t.typdefault, case when t.typnotnull then 'not null' end,
           'collate ' || (select cn.nspname || '.' || co.collname from pg_collation co join pg_namespace cn on cn.oid = co.collnamespace
                            where co.oid = t.typcollation and t.typcollation <> b.typcollation)) end,
         case when r.rngtypid is not null then concat_ws(', ', 'over ' || format_type(r.rngsubtype, null), 'order ' || oc.opcname,
           'collate ' || rco.collname, 'canonical ' || nullif(r.rngcanonical::oid, 0)::regproc::text, 'difference ' || df.proname) end,
         case when t.typtype = 'b' then concat_ws(', ', 'in ' || inf.proname, 'out ' || outf.proname, 'receive ' || rf.proname, 'send ' || sf.proname,
           'length ' || t.typlen, 'align ' || t.typalign::text, 'storage ' || t.typstorage::text, 'category ' || t.typcategory::text, 'default ' || t.typdefault) end) as definition
  from own t
  left join pg_type b on b.oid = t.typbasetype
  left join pg_range r on r.rngtypid = t.id
  left join pg_opclass oc on oc.oid = r.rngsubopc
  left join pg_collation rco on rco.oid = r.rngcollation
  left join pg_proc df on df.oid = r.rngsubdiff
  left join pg_proc inf on inf.oid = t.typinput
  left join pg_proc outf on outf.oid = t.typoutput
  left join pg_proc rf on rf.oid = t.typreceive
  left join pg_proc sf on sf.oid = t.typsend

-- Columns of tables, views and composite types, and their order.
with relation as (
  select c.oid, c.relname, c.relkind, c.relispartition, n.nspname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and c.oid not in (select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e')
     -- A composite type's extension membership stands on the type.
     and c.reltype not in (select objid from pg_depend where classid = 'pg_type'::regclass and deptype = 'e')
     and (c.relkind = 'c' or {{only}})
), attribute as (
  select r.nspname, r.relname, r.relkind, r.oid as relid, a.*, to_jsonb(a) as more,
         -- From version 17 on partitions have the identity of their root, whose sequence serves them all; before, only
         -- the root had it, and a partition could have one of its own.
         a.attidentity <> '' and (not r.relispartition or exists (select from pg_depend s
           where s.classid = 'pg_class'::regclass and s.refclassid = 'pg_class'::regclass
             and s.refobjid = a.attrelid and s.refobjsubid = a.attnum and s.deptype = 'i')) as own_identity
    from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
)
select 'column' as kind, a.nspname as schema, a.relname as name, a.attname as member, a.relkind <> 'c' as of_relation,
       concat_ws(' ',
         format_type(a.atttypid, a.atttypmod),
         case when a.attcollation <> t.typcollation then 'collate ' || cn.nspname || '.' || co.collname end,
         case when a.attnotnull then 'not null' end,
         case when a.own_identity then 'identity ' || a.attidentity::text end,
         case a.more ->> 'attgenerated' when 's' then 'generated stored' when 'v' then 'generated virtual'
              else case when d.oid is not null then 'default' end end,
         pg_get_expr(d.adbin, d.adrelid),
         case when a.attstorage <> t.typstorage then 'storage ' || a.attstorage::text end,
         'compression ' || nullif(a.more ->> 'attcompression', ''),
         'statistics ' || nullif((a.more ->> 'attstattarget')::int, -1),
         'with (' || nullif(array_to_string(array(select unnest(a.attoptions) order by 1), ', '), '') || ')',
         'options (' || array_to_string(a.attfdwoptions, ', ') || ')') as definition
  from attribute a
  join pg_type t on t.oid = a.atttypid
  left join pg_collation co on co.oid = a.attcollation
  left join pg_namespace cn on cn.oid = co.collnamespace
  left join pg_attrdef d on d.adrelid = a.relid and d.adnum = a.attnum
union all
-- pg_dump cannot keep the order where a column was added to a parent later than its child was made.
select 'column order', a.nspname, a.relname, '', a.relkind <> 'c', string_agg(a.attname, ', ' order by a.attnum)
  from attribute a
 where not exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhrelid = a.relid and not c.relispartition)
 group by 2, 3, 5

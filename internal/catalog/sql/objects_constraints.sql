-- Constraints of tables and domains, and the indexes that serve none.
with member as (
  select classid, objid from pg_depend where deptype = 'e' and classid in ('pg_class'::regclass, 'pg_type'::regclass)
), relation as (
  select c.oid, c.relname, n.nspname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'f', 'm')
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and c.oid not in (select objid from member where classid = 'pg_class'::regclass)
     and {{only}}
), index_parent as (
  select i.inhrelid, pn.nspname || '.' || p.relname as name
    from pg_inherits i join pg_class p on p.oid = i.inhparent and p.relkind = 'I' join pg_namespace pn on pn.oid = p.relnamespace
), table_constraint as (
  select c.oid as id, c.*, coalesce(to_jsonb(c) ->> 'conparentid', '0') as parent from pg_constraint c
)
select 'constraint' as kind, r.nspname as schema, r.relname as name, c.conname as member, true as of_relation,
       concat_ws('; ', pg_get_constraintdef(c.id),
         'index with (' || nullif(array_to_string(array(select unnest(ic.reloptions) order by 1), ', '), '') || ')',
         'index tablespace ' || its.spcname,
         case when ii.indisclustered then 'clustered' end,
         'attached to ' || ip.name) as definition
  from relation r
  -- 'n' exists from 18 on only, not null is told by the column. 't' is told by its trigger. The copies of a
  -- partitioned table's foreign key follow from it, and their names are the server's.
  join table_constraint c on c.conrelid = r.oid and c.contype in ('c', 'f', 'p', 'u', 'x') and not (c.contype = 'f' and c.parent <> '0')
  left join pg_class ic on ic.oid = c.conindid and c.contype in ('p', 'u', 'x')
  left join pg_index ii on ii.indexrelid = ic.oid
  left join pg_tablespace its on its.oid = ic.reltablespace
  left join index_parent ip on ip.inhrelid = ic.oid
union all
select 'constraint', n.nspname, t.typname, c.conname, false, pg_get_constraintdef(c.oid)
  from pg_constraint c join pg_type t on t.oid = c.contypid join pg_namespace n on n.oid = t.typnamespace
 where c.contype = 'c' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and t.oid not in (select objid from member where classid = 'pg_type'::regclass)
union all
select 'index', r.nspname, r.relname, ic.relname, true,
       concat_ws('; ', pg_get_indexdef(i.indexrelid),
         case when not i.indisvalid then 'not valid' end,
         case when i.indisclustered then 'clustered' end,
         'tablespace ' || ts.spcname,
         'attached to ' || ip.name,
         'statistics ' || (select string_agg(a.attnum || ': ' || a.attstattarget, ', ' order by a.attnum)
                             from pg_attribute a where a.attrelid = i.indexrelid and a.attstattarget >= 0))
  from relation r
  join pg_index i on i.indrelid = r.oid
  join pg_class ic on ic.oid = i.indexrelid
  left join pg_tablespace ts on ts.oid = ic.reltablespace
  left join index_parent ip on ip.inhrelid = ic.oid
 where not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x'))
   -- What a failed build left behind is no index, and pg_dump leaves it out; a partitioned one is not valid
   -- while a partition lacks its own.
   and (i.indisvalid or ic.relkind = 'I')

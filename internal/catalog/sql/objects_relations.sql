-- Tables, views, sequences and their kin. Columns that not every major has are read through to_jsonb; oid is
-- no column of * until 11.
with member as (
  select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e'
), relation as (
  select c.oid as id, c.*, n.nspname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and c.oid not in (select objid from member)
     and {{only}}
), parents as (
  select i.inhrelid, string_agg(pn.nspname || '.' || p.relname, ', ' order by i.inhseqno) as names
    from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
   group by 1
), owner_of_sequence as (
  select d.objid, tn.nspname || '.' || t.relname || '.' || a.attname as owner
    from pg_depend d
    join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
   where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
)
select case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view'
         when 'f' then 'foreign table' else 'sequence' end as kind,
       r.nspname as schema, r.relname as name, '' as member, true as of_relation,
       concat_ws('; ',
         'owner ' || pg_get_userbyid(r.relowner),
         -- Sequences follow their table's persistence from 15 on, before they had none of their own.
         case when r.relpersistence = 'u' and r.relkind <> 'S' then 'unlogged' end,
         case when r.relkind = 'p' then 'partition by ' || pg_get_partkeydef(r.id) end,
         case when r.relispartition then 'partition of ' || p.names || ' ' || pg_get_expr(r.relpartbound, r.id)
              else 'inherits ' || p.names end,
         'of type ' || format_type(nullif(r.reloftype, 0), null),
         'with (' || nullif(array_to_string(array(select unnest(r.reloptions) order by 1), ', '), '') || ')',
         'toast with (' || nullif(array_to_string(array(select unnest(t.reloptions) order by 1), ', '), '') || ')',
         case when r.relrowsecurity then 'row security' end,
         case when r.relforcerowsecurity then 'row security also for the owner' end,
         case when to_jsonb(r) ->> 'relhasoids' = 'true' then 'with oids' end,
         'using ' || am.amname,
         'tablespace ' || ts.spcname,
         'server ' || fs.srvname,
         'options (' || nullif(array_to_string(ft.ftoptions, ', '), '') || ')',
         case when r.relkind = 'S' then format('as %s start %s increment %s min %s max %s cache %s%s', format_type(s.seqtypid, null),
           s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, case when s.seqcycle then ' cycle' else '' end) end,
         'owned by ' || os.owner) as definition
  from relation r
  left join parents p on p.inhrelid = r.id
  left join pg_class t on t.oid = r.reltoastrelid and r.reltoastrelid <> 0
  left join pg_am am on am.oid = (to_jsonb(r) ->> 'relam')::oid and r.relkind in ('r', 'm') and am.amname <> 'heap'
  left join pg_tablespace ts on ts.oid = r.reltablespace
  left join pg_foreign_table ft on ft.ftrelid = r.id
  left join pg_foreign_server fs on fs.oid = ft.ftserver
  left join pg_sequence s on s.seqrelid = r.id
  left join owner_of_sequence os on os.objid = r.id and r.relkind = 'S'
union all
-- An object of its own: the walk changes it on the source for a while.
select 'replica identity', r.nspname, r.relname, '', true,
       case r.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'using index ' || coalesce(ic.relname, '(dropped)') end
  from relation r
  left join pg_index i on i.indrelid = r.id and i.indisreplident
  left join pg_class ic on ic.oid = i.indexrelid
 where r.relkind in ('r', 'p')

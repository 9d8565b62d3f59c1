-- Functions that run without any session of an application: while rows are copied and applied, while indexes are
-- built, materialized views refreshed and statistics gathered. Only those that somebody has written in SQL or
-- PL/pgSQL, extensions' ones too.
with recursive edge as (
    select distinct w.ev_class as child, d.refobjid as parent
      from pg_rewrite w
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
     where d.refobjid <> w.ev_class and w.rulename = '_RETURN'
), read (matview, relation) as (
    select c.oid, c.oid from pg_class c where c.relkind = 'm'
    union
    -- a view is looked through; another materialized view is filled by itself
    select r.matview, e.parent
      from read r
      join edge e on e.child = r.relation
      join pg_class p on p.oid = e.parent and p.relkind = 'v' and p.oid >= 16384
), called as (
    -- an operator stands for its function
    select d.classid, d.objid, d.objsubid, d.refobjid as function
      from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid >= 16384
    union all
    select d.classid, d.objid, d.objsubid, o.oprcode::oid
      from pg_depend d
      join pg_operator o on o.oid = d.refobjid
     where d.refclassid = 'pg_operator'::regclass and d.refobjid >= 16384
), use as (
    select k.function, case when c.relkind = 'p' then 'partition key' else 'index' end as kind,
           case when c.relkind = 'p' then c.oid else i.indrelid end as relation, 0::oid as type,
           case when c.relkind = 'p' then '' else c.relname::text end as member
      from called k
      join pg_class c on k.classid = 'pg_class'::regclass and c.oid = k.objid and c.relkind in ('i', 'I', 'p')
      left join pg_index i on i.indexrelid = c.oid
    union
    select k.function, case when n.contypid <> 0 then 'domain' else 'check constraint' end, n.conrelid, n.contypid, n.conname::text
      from called k
      join pg_constraint n on k.classid = 'pg_constraint'::regclass and n.oid = k.objid and n.contype = 'c'
    union
    select k.function, 'generated column', a.attrelid, 0::oid, a.attname::text
      from called k
      join pg_attrdef f on k.classid = 'pg_attrdef'::regclass and f.oid = k.objid
      join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum and {{generated}} <> ''
    union
    -- from 12 on the expression's dependencies are the column's own
    select k.function, 'generated column', a.attrelid, 0::oid, a.attname::text
      from called k
      join pg_attribute a on k.classid = 'pg_class'::regclass and a.attrelid = k.objid and a.attnum = k.objsubid and {{generated}} <> ''
     where k.objsubid > 0
    union
    select k.function, 'statistics', s.stxrelid, 0::oid, s.stxname::text
      from called k
      join pg_statistic_ext s on k.classid = 'pg_statistic_ext'::regclass and s.oid = k.objid
    union
    select k.function, 'materialized view', r.matview, 0::oid, ''
      from called k
      join pg_rewrite w on k.classid = 'pg_rewrite'::regclass and w.oid = k.objid and w.rulename = '_RETURN'
      join read r on r.relation = w.ev_class
)
select u.function::int8 as function, u.kind, n.nspname::text as schema, coalesce(c.relname, t.typname)::text as name, u.member
  from use u
  left join pg_class c on c.oid = u.relation
  left join pg_type t on t.oid = u.type
  join pg_namespace n on n.oid = coalesce(c.relnamespace, t.typnamespace)
  join pg_proc p on p.oid = u.function
  join pg_namespace pn on pn.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and pn.nspname not in ('pg_catalog', 'information_schema', 'pgleap')
 order by u.kind, 3, 4, 5, 1

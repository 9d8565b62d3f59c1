-- What views and materialized views are built on: their rules say it.
select distinct r.ev_class::int8 as child, d.refobjid::int8 as parent
  from pg_rewrite r
  join pg_class c on c.oid = r.ev_class
  join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                  and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
 where c.relkind in ('v', 'm')
 order by 1, 2

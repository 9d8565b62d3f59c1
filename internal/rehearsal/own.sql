-- Gives what the superuser made to the role pgleap.keeper: a role without superuser could not take it over. Schema
-- public stays whose it is.
do $own$
declare
  keeper text := current_setting('pgleap.keeper');
  statement text;
begin
  set local search_path = pg_catalog;
  for statement in
    with own as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
    select format('alter table %s owner to %I', c.oid::regclass, keeper) from pg_class c join own n on n.oid = c.relnamespace
     where c.relowner = 10 and (c.relkind in ('r', 'p', 'v', 'm', 'f') or c.relkind = 'S' and not exists (
       select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')))
    union all
    select format('alter routine %s owner to %I', p.oid::regprocedure, keeper) from pg_proc p join own n on n.oid = p.pronamespace
     where p.proowner = 10 and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
    union all
    select format('alter type %s owner to %I', t.oid::regtype, keeper) from pg_type t join own n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
     where t.typowner = 10 and t.typtype in ('d', 'e', 'r', 'c') and (t.typrelid = 0 or c.relkind = 'c')
    union all
    select format('alter operator %s owner to %I', o.oid::regoperator, keeper) from pg_operator o join own n on n.oid = o.oprnamespace where o.oprowner = 10
    union all
    select format('alter collation %I.%I owner to %I', n.nspname, l.collname, keeper) from pg_collation l join own n on n.oid = l.collnamespace where l.collowner = 10
    union all
    select format('alter text search configuration %I.%I owner to %I', n.nspname, f.cfgname, keeper) from pg_ts_config f join own n on n.oid = f.cfgnamespace where f.cfgowner = 10
    union all
    select format('alter statistics %I.%I owner to %I', n.nspname, s.stxname, keeper) from pg_statistic_ext s join own n on n.oid = s.stxnamespace where s.stxowner = 10
    union all
    select format('alter schema %I owner to %I', nspname, keeper) from pg_namespace where nspname in (select nspname from own) and nspowner = 10 and nspname <> 'public'
  loop
    execute statement;
  end loop;
end $own$

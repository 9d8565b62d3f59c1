-- Definitions that PostgreSQL takes from superusers only, outside of extensions.
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), found as (
  select 'pg_event_trigger'::regclass as class, oid, 0::oid as space, 'event trigger ' || quote_ident(evtname) as object, 'only a superuser may make an event trigger' as why from pg_event_trigger
  union all
  select 'pg_proc'::regclass, p.oid, p.pronamespace, 'function ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname),
         case when not l.lanpltrusted then 'its language ' || l.lanname || ' is not trusted' else 'it is leakproof' end
    from pg_proc p join pg_language l on l.oid = p.prolang join pg_namespace n on n.oid = p.pronamespace
   where (not l.lanpltrusted or p.proleakproof)
     and not exists (select 1 from pg_aggregate a where a.aggfnoid = p.oid)
     and not exists (select 1 from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
  union all
  select 'pg_proc'::regclass, p.oid, p.pronamespace, 'aggregate ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname), 'its state is of type internal'
    from pg_aggregate a join pg_proc p on p.oid = a.aggfnoid join pg_namespace n on n.oid = p.pronamespace where 'internal'::regtype in (a.aggtranstype, a.aggmtranstype)
  union all
  select 'pg_type'::regclass, t.oid, t.typnamespace, 'type ' || quote_ident(n.nspname) || '.' || quote_ident(t.typname), 'only a superuser may make a base type'
    from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'b' and t.typelem = 0 and t.oid >= 16384
  union all
  select 'pg_cast'::regclass, c.oid, 0, 'cast (' || format_type(c.castsource, null) || ' as ' || format_type(c.casttarget, null) || ')', 'only a superuser may make a cast without function'
    from pg_cast c where c.castmethod = 'b' and c.oid >= 16384
     and not exists (select 1 from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype = 'i')
  union all
  select 'pg_opclass'::regclass, o.oid, o.opcnamespace, 'operator class ' || quote_ident(n.nspname) || '.' || quote_ident(o.opcname), 'only a superuser may make an operator class'
    from pg_opclass o join pg_namespace n on n.oid = o.opcnamespace
  union all
  select 'pg_opfamily'::regclass, o.oid, o.opfnamespace, 'operator family ' || quote_ident(n.nspname) || '.' || quote_ident(o.opfname), 'only a superuser may make an operator family'
    from pg_opfamily o join pg_namespace n on n.oid = o.opfnamespace
  union all
  select 'pg_am'::regclass, oid, 0, 'access method ' || quote_ident(amname), 'only a superuser may make an access method' from pg_am
  union all
  select 'pg_foreign_data_wrapper'::regclass, oid, 0, 'foreign data wrapper ' || quote_ident(fdwname), 'only a superuser may make a foreign data wrapper' from pg_foreign_data_wrapper
  union all
  select 'pg_language'::regclass, oid, 0, 'language ' || quote_ident(lanname), 'only a superuser may make a language' from pg_language
  union all
  select 'pg_ts_parser'::regclass, p.oid, p.prsnamespace, 'text search parser ' || quote_ident(n.nspname) || '.' || quote_ident(p.prsname), 'only a superuser may make a text search parser'
    from pg_ts_parser p join pg_namespace n on n.oid = p.prsnamespace
  union all
  select 'pg_ts_template'::regclass, t.oid, t.tmplnamespace, 'text search template ' || quote_ident(n.nspname) || '.' || quote_ident(t.tmplname), 'only a superuser may make a text search template'
    from pg_ts_template t join pg_namespace n on n.oid = t.tmplnamespace
)
select coalesce(n.nspname::text, '') as schema, f.object, f.why
  from found f left join pg_namespace n on n.oid = f.space
 where f.oid >= 16384 and coalesce(n.nspname, '') !~ '^pg_' and coalesce(n.nspname, '') not in ('information_schema', 'pgleap')
   and not exists (select 1 from member m where m.classid = f.class and m.objid = f.oid)
 order by 1, 2

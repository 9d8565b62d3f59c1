-- Functions, procedures, aggregates, operators.
with member as (
  select classid, objid from pg_depend where deptype = 'e' and classid in ('pg_proc'::regclass, 'pg_operator'::regclass)
), routine as (
  select p.oid as id, p.*, n.nspname, to_jsonb(p) as more,
         array_to_string(array(select format_type(t, null) from unnest(p.proargtypes) with ordinality a(t, i) order by i), ', ') as arguments
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
   where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and p.oid not in (select objid from member where classid = 'pg_proc'::regclass)
     -- A range type's constructors come with the type.
     and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
)
select case coalesce(r.more ->> 'prokind', case when r.more ->> 'proisagg' = 'true' then 'a' end)
         when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
       r.nspname as schema, r.proname as name, r.arguments as member, false as of_relation,
       concat_ws('; ',
         'owner ' || pg_get_userbyid(r.proowner),
         'language ' || l.lanname,
         'returns ' || case when r.proretset then 'setof ' else '' end || format_type(r.prorettype, null),
         'names ' || array_to_string(r.proargnames, ',', '-'),
         'modes ' || array_to_string(r.proargmodes, ','),
         'types ' || array_to_string(array(select format_type(t, null) from unnest(r.proallargtypes) with ordinality a(t, i) order by i), ', '),
         'defaults ' || pg_get_expr(r.proargdefaults, 'pg_proc'::regclass),
         case coalesce(r.more ->> 'prokind', case when r.more ->> 'proiswindow' = 'true' then 'w' end) when 'w' then 'window' end,
         'volatility ' || r.provolatile::text, 'parallel ' || r.proparallel::text,
         case when r.proisstrict then 'strict' end, case when r.prosecdef then 'security definer' end, case when r.proleakproof then 'leakproof' end,
         'cost ' || r.procost::numeric, 'rows ' || nullif(r.prorows, 0)::numeric,
         'set ' || array_to_string(array(select unnest(r.proconfig) order by 1), ', '),
         -- A body in SQL syntax is written differently by the majors: only that there is one.
         case when r.more ->> 'prosqlbody' is not null then 'body in SQL syntax' else 'body ' || md5(r.prosrc) end,
         'library ' || r.probin,
         case when a.aggfnoid is not null then concat_ws(', ', 'kind ' || a.aggkind::text, 'state ' || format_type(a.aggtranstype, null),
           'by ' || tf.proname, 'final ' || ff.proname, 'combine ' || cf.proname, 'moving ' || mf.proname, 'start ' || a.agginitval) end) as definition
  from routine r
  join pg_language l on l.oid = r.prolang
  left join pg_aggregate a on a.aggfnoid = r.id
  left join pg_proc tf on tf.oid = a.aggtransfn
  left join pg_proc ff on ff.oid = a.aggfinalfn
  left join pg_proc cf on cf.oid = a.aggcombinefn
  left join pg_proc mf on mf.oid = a.aggmtransfn
union all
select 'operator', n.nspname, o.oprname, concat_ws(', ', format_type(nullif(o.oprleft, 0), null), format_type(nullif(o.oprright, 0), null)), false,
       concat_ws('; ', 'owner ' || pg_get_userbyid(o.oprowner), 'function ' || pn.nspname || '.' || p.proname,
         'commutator ' || c.oprname, 'negator ' || g.oprname, 'restrict ' || rf.proname, 'join ' || jf.proname,
         case when o.oprcanmerge then 'merges' end, case when o.oprcanhash then 'hashes' end)
  from pg_operator o
  join pg_namespace n on n.oid = o.oprnamespace
  left join pg_proc p on p.oid = o.oprcode left join pg_namespace pn on pn.oid = p.pronamespace
  left join pg_operator c on c.oid = o.oprcom
  left join pg_operator g on g.oid = o.oprnegate
  left join pg_proc rf on rf.oid = o.oprrest
  left join pg_proc jf on jf.oid = o.oprjoin
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and o.oid not in (select objid from member where classid = 'pg_operator'::regclass)

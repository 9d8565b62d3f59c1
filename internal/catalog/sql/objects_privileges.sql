-- One object for each privilege of each grantee but the owner. A list that was never changed is null and stands
-- for the kind's default. MAINTAIN is left out: it is known from 17 on only, and GRANT ALL gives it there.
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), space as (
  select oid, nspname, nspowner, nspacl from pg_namespace
   where nspname !~ '^pg_' and nspname not in ('information_schema', 'pgleap')
), granted as (
  select 'schema' as kind, s.nspname as schema, '' as name, '' as member, false as of_relation, s.nspowner as owner, coalesce(s.nspacl, acldefault('n', s.nspowner)) as acl
    from space s where s.oid not in (select objid from member where classid = 'pg_namespace'::regclass)
  union all
  select case c.relkind when 'S' then 'sequence' else 'table' end, s.nspname, c.relname, '', true, c.relowner, c.relacl
    from pg_class c join space s on s.oid = c.relnamespace
   where c.relacl is not null and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.oid not in (select objid from member where classid = 'pg_class'::regclass)
  union all
  select 'column', s.nspname, c.relname, a.attname, true, c.relowner, a.attacl
    from pg_attribute a join pg_class c on c.oid = a.attrelid join space s on s.oid = c.relnamespace
   where a.attacl is not null and not a.attisdropped and c.oid not in (select objid from member where classid = 'pg_class'::regclass)
  union all
  select 'function', s.nspname, p.proname, array_to_string(array(select format_type(t, null) from unnest(p.proargtypes) with ordinality x(t, i) order by i), ', '),
         false, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
    from pg_proc p join space s on s.oid = p.pronamespace
   where p.oid not in (select objid from member where classid = 'pg_proc'::regclass)
     and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
  union all
  select 'type', s.nspname, t.typname, '', false, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
    from pg_type t join space s on s.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
   where t.typtype in ('b', 'c', 'd', 'e', 'r') and (t.typrelid = 0 or c.relkind = 'c') and not exists (select from pg_type e where e.typarray = t.oid)
     and t.oid not in (select objid from member where classid = 'pg_type'::regclass)
  union all
  select 'language', '', l.lanname, '', false, l.lanowner, coalesce(l.lanacl, acldefault('l', l.lanowner))
    from pg_language l where l.lanispl and l.oid >= 16384 and l.oid not in (select objid from member where classid = 'pg_language'::regclass)
  union all
  select 'foreign data wrapper', '', w.fdwname, '', false, w.fdwowner, w.fdwacl
    from pg_foreign_data_wrapper w where w.fdwacl is not null and w.oid not in (select objid from member where classid = 'pg_foreign_data_wrapper'::regclass)
  union all
  select 'foreign server', '', v.srvname, '', false, v.srvowner, v.srvacl from pg_foreign_server v where v.srvacl is not null
)
select 'privilege' as kind, g.schema, g.name, g.member, g.of_relation,
       case when bool_or(a.is_grantable) then 'granted with grant option' else 'granted' end as definition,
       lower(a.privilege_type) as privilege, g.kind as object_kind, case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee)::text end as grantee
  from granted g cross join lateral aclexplode(g.acl) a
 where a.grantee <> g.owner and a.privilege_type <> 'MAINTAIN'
 group by 2, 3, 4, 5, 7, 8, 9

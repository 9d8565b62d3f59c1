-- Comments on objects of one's own; those of extensions come with them.
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), note as (
  select d.*, i.type, i.schema, i.identity
    from pg_description d cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) i
   where (d.objoid >= 16384 or d.classoid = 'pg_namespace'::regclass and d.objoid = 'public'::regnamespace)
     and d.classoid not in ('pg_extension'::regclass, 'pg_largeobject'::regclass, 'pg_subscription'::regclass, 'pg_publication'::regclass)
     and not exists (select from member m where m.classid = d.classoid and m.objid = d.objoid)
), about as (
  select n.*, coalesce(c.oid, x.indrelid, k.conrelid, t.tgrelid, w.ev_class, p.polrelid) as relid
    from note n
    left join pg_index x on n.classoid = 'pg_class'::regclass and x.indexrelid = n.objoid
    left join pg_class c on n.classoid = 'pg_class'::regclass and c.oid = n.objoid and x.indexrelid is null
    left join pg_constraint k on n.classoid = 'pg_constraint'::regclass and k.oid = n.objoid and k.conrelid <> 0
    left join pg_trigger t on n.classoid = 'pg_trigger'::regclass and t.oid = n.objoid
    left join pg_rewrite w on n.classoid = 'pg_rewrite'::regclass and w.oid = n.objoid
    left join pg_policy p on n.classoid = 'pg_policy'::regclass and p.oid = n.objoid
)
select 'comment' as kind, coalesce(rn.nspname, a.schema, '') as schema, coalesce(r.relname, '') as name, '' as member, r.oid is not null as of_relation,
       a.description as definition, a.type as object_kind, a.identity
  from about a
  left join pg_class r on r.oid = a.relid
  left join pg_namespace rn on rn.oid = r.relnamespace
 where coalesce(rn.nspname, a.schema, '') !~ '^(pg_|information_schema$|pgleap$)' and a.identity <> 'pgleap'

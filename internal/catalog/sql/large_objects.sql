-- Who may read a large object has no function before 18: its owner's members, and whom it was granted to.
with unreadable as (
    select m.oid, pg_get_userbyid(m.lomowner)::text as owner
      from pg_largeobject_metadata m
     where not current_setting('lo_compat_privileges')::bool
       and not (select r.rolsuper from pg_roles r where r.rolname = current_user)
       and not pg_has_role(m.lomowner, 'usage')
       and not exists (select 1 from aclexplode(m.lomacl) a
                        where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))
)
select pg_relation_size('pg_catalog.pg_largeobject')::int8 as bytes,
       array(select distinct pg_get_userbyid(m.lomowner)::text from pg_largeobject_metadata m order by 1) as owners,
       (select count(*) from unreadable)::int8 as unreadable,
       coalesce((select min(u.oid::int8) from unreadable u), 0)::int8 as example,
       coalesce((select u.owner from unreadable u order by u.oid limit 1), '') as example_of

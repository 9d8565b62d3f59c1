-- Every row by itself: from 16 on several roles can have made the same membership.
select g.rolname::text as role, m.rolname::text as member, coalesce(b.rolname::text, '') as grantor,
       a.admin_option as admin, {{inherit}} as inherit, {{set}} as set
  from pg_auth_members a join pg_roles g on g.oid = a.roleid join pg_roles m on m.oid = a.member
       left join pg_roles b on b.oid = a.grantor
 order by g.rolname::text collate "C", m.rolname::text collate "C", 3

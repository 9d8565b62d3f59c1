-- From 16 on a role can be made the same role's member by several others: what one gives, counts.
select m.rolname::text as member, g.rolname::text as role, bool_or(a.admin_option) as admin,
       bool_or({{inherit}}) as inherit, bool_or({{set}}) as set
  from pg_auth_members a join pg_roles g on g.oid = a.roleid join pg_roles m on m.oid = a.member
 where m.rolname !~ '^pg_'
 group by m.rolname, g.rolname
 order by m.rolname::text collate "C", g.rolname::text collate "C"

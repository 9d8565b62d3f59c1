-- Tables whose owner has less than everything on them. A superuser does not notice; apply as a plain role has
-- what the owner has.
select n.nspname::text as schema, c.relname::text as name, pg_get_userbyid(c.relowner)::text as owner, c.relforcerowsecurity and c.relrowsecurity as forced,
       array(select r.right from (values (1, 'insert'), (2, 'select'), (3, 'update'), (4, 'delete'), (5, 'truncate')) r(n, "right")
              where c.relacl is not null and not exists (
                select 1 from aclexplode(c.relacl) a where a.grantee in (0, c.relowner) and lower(a.privilege_type) = r.right)
              order by r.n) as lacks
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and (c.relforcerowsecurity and c.relrowsecurity or c.relacl is not null)
 order by 1, 2

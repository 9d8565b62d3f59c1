-- pg_shdepend names every role that owns something here, is granted something, or stands in a policy or a
-- default privilege. Left out: what the dump does not carry (owners of extensions and of their members,
-- publications, subscriptions), and the roles that every server has. The role that made the cluster is
-- pinned and never stands in pg_shdepend, so its objects are looked for.
select r.rolname::text
  from pg_roles r
 where r.rolname !~ '^pg_'
   and (exists (select 1
                  from pg_shdepend s
                 where s.refclassid = 'pg_authid'::regclass and s.refobjid = r.oid
                   and s.dbid = (select oid from pg_database where datname = current_database())
                   and s.classid not in ('pg_extension'::regclass, 'pg_publication'::regclass, 'pg_subscription'::regclass)
                   and not exists (select 1 from pg_namespace n where s.classid = 'pg_namespace'::regclass
                                      and n.oid = s.objid and n.nspname = 'pgleap')
                   and not exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
                                    where s.classid = 'pg_class'::regclass and c.oid = s.objid
                                      and (n.nspname ~ '^pg_' or n.nspname = 'pgleap'))
                   and not exists (select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                                    where s.classid = 'pg_proc'::regclass and p.oid = s.objid and n.nspname = 'pgleap')
                   and not (s.deptype = 'o' and exists (
                         select 1 from pg_depend d
                          where d.classid = s.classid and d.objid = s.objid and d.deptype = 'e')))
        or (r.oid = 10 and exists (
             select 1 from pg_namespace n
              where n.nspowner = 10 and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
             union all
             select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relowner = 10 and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
                and not exists (select 1 from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype = 'e')
             union all
             select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace
              where p.proowner = 10 and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
                and not exists (select 1 from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e')
             union all
             select 1 from pg_type t join pg_namespace n on n.oid = t.typnamespace
              where t.typowner = 10 and t.typtype in ('d', 'e', 'r') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
                and not exists (select 1 from pg_depend d where d.objid = t.oid and d.classid = 'pg_type'::regclass and d.deptype = 'e'))))
 order by r.rolname::text collate "C"

-- labels
-- Labels of this database's objects are dumped with them; those of shared objects are not.
select coalesce(l.provider, '') as provider, sum(l.own)::int as count, sum(l.shared)::int as shared
  from (select provider, 1 as own, 0 as shared from pg_seclabel
        union all
        select provider, 0, 1 from pg_shseclabel
         where classoid <> 'pg_database'::regclass
            or objoid = (select oid from pg_database where datname = current_database())) l
 group by l.provider
 order by l.provider

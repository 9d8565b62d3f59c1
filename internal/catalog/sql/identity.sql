-- The indexes that PostgreSQL would take as replica identity (RelationGetIndexList: live, valid, unique,
-- immediate, not partial), and whether ALTER TABLE ... REPLICA IDENTITY USING INDEX would take them too. A deferrable
-- primary key is read to be named.
select i.indrelid::int8 as relation, x.relname::text as name,
       i.indisprimary as primary_key, i.indimmediate as immediate, i.indisreplident as chosen,
       i.indexprs is null and k.not_null as candidate,
       k.generated as generated, k.width::int as width
  from pg_index i
  join pg_class x on x.oid = i.indexrelid
  join pg_class c on c.oid = i.indrelid
  join pg_namespace n on n.oid = c.relnamespace
 cross join lateral (
   select count(*) as width,
          -- an expression has number 0 and no attribute; a system column cannot identify rows elsewhere
          coalesce(bool_and(a.attnotnull and a.attnum > 0), false) as not_null,
          coalesce(array_agg(a.attname::text) filter (where {{generated}} <> ''), '{}') as generated
     from unnest(i.indkey) with ordinality as u (attnum, place)
     left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum
    where u.place <= {{keys}}) k
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and c.relkind = 'r' and c.relpersistence <> 't'
   and i.indislive and i.indisvalid and i.indisunique and (i.indimmediate or i.indisprimary) and i.indpred is null
 order by i.indrelid, i.indisprimary desc, k.width, x.relname::text collate "C"

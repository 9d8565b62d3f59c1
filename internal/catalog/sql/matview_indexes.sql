-- What REFRESH MATERIALIZED VIEW CONCURRENTLY asks for: unique, valid, over columns only, of all rows.
select i.indrelid::int8 as relation, x.relname::text as name
  from pg_index i
  join pg_class c on c.oid = i.indrelid
  join pg_class x on x.oid = i.indexrelid
 where c.relkind = 'm' and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
 order by i.indrelid, x.relname::text collate "C"

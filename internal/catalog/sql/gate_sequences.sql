-- Sequences that feed a column (owned or identity) which a valid btree index can be asked for its outermost value,
-- and that the role may read.
select sn.nspname::text as sequence_schema, s.relname::text as sequence_name, tn.nspname::text as table_schema,
       t.relname::text as table_name, a.attname::text as column_name, q.seqincrement > 0 as ascending
  from pg_sequence q
  join pg_class s on s.oid = q.seqrelid join pg_namespace sn on sn.oid = s.relnamespace
  join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.refclassid = 'pg_class'::regclass
                  and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
  join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
 where sn.nspname !~ '^pg_' and sn.nspname not in ('information_schema', 'pgleap')
   and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) and t.relkind in ('r', 'p')
   and exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
                where i.indrelid = t.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum and m.amname = 'btree')
   and has_table_privilege(s.oid, 'select') and has_table_privilege(t.oid, 'select')
   and has_schema_privilege(sn.oid, 'usage') and has_schema_privilege(tn.oid, 'usage')
 order by 1, 2

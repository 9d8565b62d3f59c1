-- The end of the newest partition of roots that are parted by time: MAXVALUE and infinity are no end. The
-- bound is printed without its relation, which would otherwise be locked.
with root as (
    select c.oid, n.nspname, c.relname,
           k.atttypid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) and p.partstrat = 'r' as by_time
      from pg_partitioned_table p
      join pg_class c on c.oid = p.partrelid
      join pg_namespace n on n.oid = c.relnamespace
      left join pg_attribute k on k.attrelid = c.oid and k.attnum = p.partattrs[0] and k.attnum > 0 and p.partnatts = 1
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
), leaf as (
    select i.inhparent, pg_get_expr(c.relpartbound, 0) as bound
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid and c.relispartition
     where i.inhparent in (select oid from root where by_time)
), newest as (
    select l.inhparent, bool_or(l.bound = 'DEFAULT') as has_default, bool_or(l.bound like '% TO (MAXVALUE)') as endless,
           max(substring(l.bound from ' TO \(''([^'']+)''\)$')::timestamptz) as ends
      from leaf l
     group by l.inhparent
)
select r.nspname::text as schema, r.relname::text as name, w.has_default,
       to_char(w.ends, 'YYYY-MM-DD') as ends, (extract(epoch from w.ends) - extract(epoch from now()))::float8 / 86400 as days
  from root r
  join newest w on w.inhparent = r.oid
 where not w.endless and isfinite(w.ends)
 order by r.nspname::text collate "C", r.relname::text collate "C"

-- wal
-- Two ways to know how much WAL is written. Since its statistics were reset the server has counted it
-- ({{wal}}; not before 14): an average that may be months old. Since the redo position of the last checkpoint,
-- which was there when that checkpoint began, it is at most minutes old.
select coalesce(extract(epoch from clock_timestamp() - w.stats_reset), 0)::float8 as counted_seconds,
       coalesce(w.wal_bytes, 0)::float8 as counted_bytes,
       coalesce(extract(epoch from clock_timestamp() - c.checkpoint_time), 0)::float8 as recent_seconds,
       case when c.redo_lsn is null then 0 else pg_current_wal_lsn() - c.redo_lsn end::float8 as recent_bytes
  from (select 1) one
  left join {{wal}} w on true
  left join pg_control_checkpoint() c on true

-- One branch, ten tellers and 100,000 accounts for each step of pgleap.scale.
create or replace function pg_temp.scaled(at_scale_1 bigint) returns bigint
language sql stable
as $$ select at_scale_1 * coalesce(nullif(current_setting('pgleap.scale', true), ''), '1')::int $$;

insert into pgbench_branches (bid, bbalance)
select i, 0 from generate_series(1, pg_temp.scaled(1)) i;
insert into pgbench_tellers (tid, bid, tbalance)
select i, (i - 1) / 10 + 1, 0 from generate_series(1, pg_temp.scaled(10)) i;
insert into pgbench_accounts (aid, bid, abalance, filler)
select i, (i - 1) / 100000 + 1, 0, '' from generate_series(1, pg_temp.scaled(100000)) i;

-- Rows for the default leaves and the hash partitions.
create or replace function pg_temp.scaled(at_scale_1 bigint) returns bigint
language sql stable
as $$ select at_scale_1 * coalesce(nullif(current_setting('pgleap.scale', true), ''), '1')::int $$;

insert into analytics.events (occurred_at, customer_id, kind)
select timestamptz '2020-01-01 00:00:00+00' + i * interval '1 hour', i, 'import' from generate_series(1, 300) i;
insert into shop.notifications (channel, sent_to) select 'fax', 'number ' || i from generate_series(1, 50) i;
insert into analytics.sessions
select md5('session' || i)::uuid, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute', i % 40
  from generate_series(1, pg_temp.scaled(2000)) i;

-- From 11 on: default leaves, hash partitions, row triggers on roots.
create table analytics.events_other partition of analytics.events default;

create table shop.notifications_other partition of shop.notifications default;
create unique index notifications_other_identity on shop.notifications_other (id);
alter table shop.notifications_other replica identity using index notifications_other_identity;

create table analytics.sessions (
  id         uuid not null,
  started_at timestamptz not null,
  pages      integer not null default 0,
  primary key (id)
) partition by hash (id);
create table analytics.sessions_0 partition of analytics.sessions for values with (modulus 4, remainder 0);
create table analytics.sessions_1 partition of analytics.sessions for values with (modulus 4, remainder 1);
create table analytics.sessions_2 partition of analytics.sessions for values with (modulus 4, remainder 2);
create table analytics.sessions_3 partition of analytics.sessions for values with (modulus 4, remainder 3);

create function analytics.event_gone() returns trigger
language plpgsql
as $$
begin
  insert into audit.changes (table_name, operation, old_row)
  values (tg_table_schema || '.' || tg_table_name, tg_op, to_jsonb(old));
  return null;
end
$$;
create trigger event_gone after delete on analytics.events
  for each row execute procedure analytics.event_gone();

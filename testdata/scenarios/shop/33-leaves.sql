create table analytics.events_2024_01 partition of analytics.events
  for values from ('2024-01-01 00:00:00+00') to ('2024-02-01 00:00:00+00');
create table analytics.events_2024_02 partition of analytics.events
  for values from ('2024-02-01 00:00:00+00') to ('2024-03-01 00:00:00+00');
create table analytics.events_2024_03 partition of analytics.events
  for values from ('2024-03-01 00:00:00+00') to ('2024-04-01 00:00:00+00');
create table analytics.events_2024_04 partition of analytics.events
  for values from ('2024-04-01 00:00:00+00') to ('2024-05-01 00:00:00+00') with (fillfactor = 80);
-- A leaf that was a table of its own: other order of the columns, and one
-- column dropped before it was attached.
create table analytics.events_2024_05 (
  kind        text not null,
  legacy      integer,
  payload     jsonb not null default '{}',
  customer_id bigint,
  occurred_at timestamptz not null,
  id          bigint not null default nextval('analytics.events_id_seq')
);
alter table analytics.events_2024_05 drop column legacy;
alter table analytics.events attach partition analytics.events_2024_05
  for values from ('2024-05-01 00:00:00+00') to ('2024-06-01 00:00:00+00');
-- A leaf without rows.
create table analytics.events_2024_06 partition of analytics.events
  for values from ('2024-06-01 00:00:00+00') to ('2024-07-01 00:00:00+00');

create table shop.notifications_email partition of shop.notifications for values in ('email');
create table shop.notifications_mobile partition of shop.notifications for values in ('sms', 'push');
create unique index notifications_email_identity on shop.notifications_email (id);
create unique index notifications_mobile_identity on shop.notifications_mobile (id);
alter table shop.notifications_email replica identity using index notifications_email_identity;
alter table shop.notifications_mobile replica identity using index notifications_mobile_identity;

create table analytics.page_views_eu partition of analytics.page_views
  for values in ('eu') partition by range (viewed_on);
create table analytics.page_views_eu_h1 partition of analytics.page_views_eu
  for values from ('2024-01-01') to ('2024-07-01');
create table analytics.page_views_eu_h2 partition of analytics.page_views_eu
  for values from ('2024-07-01') to (maxvalue);
create table analytics.page_views_world partition of analytics.page_views
  for values in ('us', 'asia') partition by range (viewed_on);
create table analytics.page_views_world_all partition of analytics.page_views_world
  for values from (minvalue) to (maxvalue);
-- A branch without any leaf.
create table analytics.page_views_moon partition of analytics.page_views
  for values in ('moon') partition by range (viewed_on);

-- Partitioned roots. Version 10 takes neither keys nor indexes on them: the
-- keys follow in 32 (from 11 on, on the roots) or 34 (10, on the leaves).

-- By range.
create table analytics.events (
  id          bigserial not null,
  occurred_at timestamptz not null,
  customer_id bigint,
  kind        text not null,
  payload     jsonb not null default '{}'
) partition by range (occurred_at);

-- By list; the leaves have no primary key but an identity index.
create table shop.notifications (
  id      bigserial not null,
  channel text not null,
  sent_to text not null,
  subject text
) partition by list (channel);

-- Two levels: by list, then by range.
create table analytics.page_views (
  id        bigserial not null,
  region    text not null,
  viewed_on date not null,
  page      text not null,
  duration  interval
) partition by list (region);

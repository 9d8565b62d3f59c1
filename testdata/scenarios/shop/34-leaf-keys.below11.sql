-- Version 10: keys only on the leaves.
alter table analytics.events_2024_01 add primary key (occurred_at, id);
alter table analytics.events_2024_02 add primary key (occurred_at, id);
alter table analytics.events_2024_03 add primary key (occurred_at, id);
alter table analytics.events_2024_04 add primary key (occurred_at, id);
alter table analytics.events_2024_05 add primary key (occurred_at, id);
alter table analytics.events_2024_06 add primary key (occurred_at, id);
alter table analytics.page_views_eu_h1 add primary key (region, viewed_on, id);
alter table analytics.page_views_eu_h2 add primary key (region, viewed_on, id);
alter table analytics.page_views_world_all add primary key (region, viewed_on, id);
create index events_2024_01_customer_idx on analytics.events_2024_01 (customer_id, occurred_at);

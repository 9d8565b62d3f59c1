-- From 11 on the keys belong to the roots and come down to every leaf.
alter table analytics.events add constraint events_pkey primary key (occurred_at, id);
alter table analytics.page_views add primary key (region, viewed_on, id);
create index events_customer_idx on analytics.events (customer_id, occurred_at);
create index on shop.notifications (sent_to);
alter table analytics.events
  add constraint events_customer_fkey foreign key (customer_id) references shop.customers;

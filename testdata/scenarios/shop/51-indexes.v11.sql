-- Covering indexes, also as a constraint; statistics on an index expression.
create index orders_status_idx on shop.orders (status) include (customer_id, total);
alter table shop.payments add constraint payments_id_order_key unique (id) include (order_id);
alter index shop.customers_lower_email_idx alter column 1 set statistics 200;

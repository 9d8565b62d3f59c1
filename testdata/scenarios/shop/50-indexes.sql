-- Indexes of every method and form that 10 has.
create index orders_customer_idx on shop.orders (customer_id, placed_at desc nulls last);
create index orders_open_idx on shop.orders (placed_at) where status in ('new', 'paid', 'packed');
create index customers_lower_email_idx on shop.customers (lower(email));
create index customers_name_idx on shop.customers (shop.plain(name) text_pattern_ops);
create index customers_preferences_idx on shop.customers using gin (preferences jsonb_path_ops);
create index customers_tags_idx on shop.customers using gin (tags) with (fastupdate = off);
create index products_attributes_idx on shop.products using gin (attributes);
create index products_search_idx on shop.products using gin (search);
create unique index products_active_name_idx on shop.products (lower(name), id) where active;
create index addresses_position_idx on shop.addresses using gist (position);
create index coupons_valid_idx on shop.coupons using gist (valid);
create index login_history_at_idx on shop.login_history using brin (at) with (pages_per_range = 16);
create index payments_reference_idx on shop.payments using hash (reference);
create index carts_came_from_idx on shop.carts using spgist (came_from inet_ops);
create index order_items_product_idx on shop.order_items (product_id) with (fillfactor = 80);
create index stock_moves_idx on warehouse.stock_moves (product_id, moved_at);
create index shipments_order_idx on warehouse.shipments (order_id);
create index countries_name_idx on shop.countries (name collate "C");
alter table shop.orders cluster on orders_customer_idx;

create statistics shop.orders_customer_address (dependencies, ndistinct)
  on customer_id, address_id from shop.orders;
comment on statistics shop.orders_customer_address is 'An address belongs to one customer';
comment on index shop.orders_open_idx is 'The packing list';

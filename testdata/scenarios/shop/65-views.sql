create view shop.open_orders as
  select o.id, o.number, o.customer_id, o.status, o.placed_at, o.total
    from shop.orders o
   where o.status in ('new', 'paid', 'packed');

-- A view on a view.
create view shop.open_orders_by_country as
  select c.country, count(*) as orders, sum(o.total) as total
    from shop.open_orders o
    join shop.customers c on c.id = o.customer_id
   group by c.country;

-- Depends on the primary key (columns that are not in "group by"): can only
-- be completed after the key exists.
create view shop.customer_value as
  select c.id, c.name, c.email, count(o.id) as orders, coalesce(sum(o.total), 0) as total
    from shop.customers c
    left join shop.orders o on o.customer_id = c.id
   group by c.id;

-- Written through an INSTEAD OF trigger.
create view shop.product_prices with (security_barrier = true) as
  select p.id, p.sku, p.name, p.price from shop.products p where p.active;
create function shop.set_price() returns trigger
language plpgsql
as $$
begin
  update shop.products set price = new.price where id = old.id;
  return new;
end
$$;
create trigger product_prices_update instead of update on shop.product_prices
  for each row execute procedure shop.set_price();

-- Written through a rule.
create view warehouse.stock as
  select i.product_id, sum(i.quantity - i.reserved) as available
    from warehouse.inventory i
   group by i.product_id;
create rule stock_delete as on delete to warehouse.stock
  do instead delete from warehouse.inventory where product_id = old.product_id;

-- Updatable by itself, with a check.
create view shop.cheap_products as
  select id, sku, name, price from shop.products where price < 10
  with local check option;

create recursive view shop.category_tree (id, name, depth) as
  select id, name, 0 from shop.categories where parent_id is null
  union all
  select c.id, c.name, t.depth + 1 from shop.categories c join category_tree t on c.parent_id = t.id;

-- Materialized views: not replicated, must be refreshed on the target, the
-- first before the second. No time zone of the session goes into them.
create materialized view analytics.daily_sales as
  select (o.placed_at at time zone 'UTC')::date as day, count(*) as orders, sum(o.total) as total
    from shop.orders o
   where o.status <> 'cancelled'
   group by 1
with no data;
create unique index daily_sales_day_idx on analytics.daily_sales (day);

create materialized view analytics.monthly_sales as
  select date_trunc('month', d.day::timestamp)::date as month, sum(d.orders) as orders, sum(d.total) as total
    from analytics.daily_sales d
   group by 1
with no data;
create unique index monthly_sales_month_idx on analytics.monthly_sales (month);

-- Never filled: refreshing it would be a change.
create materialized view analytics.not_filled as
  select p.id, p.name from shop.products p
with no data;

comment on view shop.open_orders is 'Everything that somebody waits for';
comment on column shop.open_orders.total is 'With shipping';
comment on materialized view analytics.daily_sales is 'Refreshed every night';

-- Owners, grants, default privileges, row level security, comments.
alter schema shop owner to shop_owner;
alter schema warehouse owner to shop_owner;
do $$
declare
  r record;
begin
  for r in
    select c.oid::regclass as name
      from pg_class c
     where c.relnamespace in ('shop'::regnamespace, 'warehouse'::regnamespace)
       and c.relkind in ('r', 'p')
     order by c.oid
  loop
    execute format('alter table %s owner to shop_owner', r.name);
  end loop;
end
$$;
alter function shop.order_total(bigint) owner to shop_owner;
alter type shop.order_status owner to shop_owner;

-- The rule on coupons writes with the rights of the owner of "coupons".
grant usage on schema audit to shop_owner;
grant insert on audit.coupon_log to shop_owner;
grant usage on sequence audit.coupon_log_id_seq to shop_owner;
grant usage on schema shop, warehouse, analytics to shop_app, shop_readonly, shop_support;
grant select on all tables in schema shop, warehouse, analytics to shop_readonly;
grant insert, update, delete on all tables in schema shop to shop_app;
grant usage, select on all sequences in schema shop, warehouse to shop_app;
grant update on sequence shop.order_number_seq to shop_app with grant option;
-- Only some columns.
grant select (id, name), update (name) on shop.customers to shop_support;
revoke select on shop.api_keys from shop_readonly;
-- Not even the default for everybody.
revoke execute on function shop.order_total(bigint) from public;
grant execute on function shop.order_total(bigint) to shop_app;
revoke usage on type shop.order_status from public;
grant usage on type shop.order_status to shop_app, shop_owner;

alter default privileges for role shop_owner in schema shop grant select on tables to shop_readonly;
alter default privileges for role shop_owner grant usage on sequences to shop_app;
alter default privileges for role shop_owner revoke execute on functions from public;

alter table shop.customer_notes enable row level security;
create policy staff_sees_all on shop.customer_notes for select to shop_support using (true);
create policy readers_see_public on shop.customer_notes for select to shop_readonly using (not internal);
create policy own_notes on shop.customer_notes as restrictive for update to public
  using (author = current_user::text) with check (author = current_user::text);
comment on policy own_notes on shop.customer_notes is 'Nobody edits what others wrote';

comment on table shop.orders is 'One row for each order; see "order_items" for what''s in it';
comment on column shop.orders.number is 'The number that is printed';
comment on constraint orders_pkey on shop.orders is 'Never shown to customers';

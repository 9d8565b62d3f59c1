create view shop.my_orders with (security_invoker = true) as
  select o.id, o.status from shop.orders o;

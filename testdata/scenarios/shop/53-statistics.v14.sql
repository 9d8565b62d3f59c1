-- Statistics on an expression, with a target of its own.
create statistics shop.orders_month on (date_trunc('month', placed_at at time zone 'UTC')), status from shop.orders;
alter statistics shop.orders_month set statistics 300;

-- SQL-standard bodies: parsed at creation, so they have real dependencies on
-- tables and are dumped from the parse tree.
create function shop.revenue(since date, until date default '2100-01-01') returns numeric
language sql stable
begin atomic
  select coalesce(sum(o.total), 0)
    from shop.orders o
   where o.placed_at >= since and o.placed_at < until and o.status <> 'cancelled';
end;

create function shop.double(value numeric) returns numeric
language sql immutable
return value * 2;

create procedure shop.restock(product integer, site smallint, pieces integer)
language sql
begin atomic
  update warehouse.inventory set quantity = quantity + pieces
   where product_id = product and site_id = site;
  insert into warehouse.stock_moves (site_id, product_id, kind, delta, moved_at)
  values (site, product, 'in', pieces, now());
end;

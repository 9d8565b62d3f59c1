-- Functions, triggers, an aggregate and an operator.
create function shop.set_updated_at() returns trigger
language plpgsql
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
create trigger customers_updated_at before update on shop.customers
  for each row execute procedure shop.set_updated_at();
create trigger products_updated_at before update on shop.products
  for each row when (old.price is distinct from new.price or old.active <> new.active) execute procedure shop.set_updated_at();
create trigger orders_updated_at before update of status, total on shop.orders
  for each row execute procedure shop.set_updated_at();

-- The full-text column is kept by a built-in trigger. On the target it must
-- not run again during apply.
create trigger products_search before insert or update on shop.products
  for each row execute procedure
  tsvector_update_trigger(search, 'pg_catalog.english', name, description);

create function audit.note_row() returns trigger
language plpgsql security definer
set search_path = audit, pg_temp
as $$
begin
  insert into changes (table_name, operation, old_row, new_row)
  values (tg_table_schema || '.' || tg_table_name, tg_op,
          case when tg_op <> 'INSERT' then to_jsonb(old) end,
          case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return null;
end
$$;
-- A second row that apply would write twice if triggers fired there.
create trigger settings_audit after insert or update or delete on shop.settings
  for each row execute procedure audit.note_row();
create trigger price_audit after update of price on shop.products
  for each row when (old.price is distinct from new.price) execute procedure audit.note_row();

-- A statement trigger with transition tables.
create function audit.note_statement() returns trigger
language plpgsql
as $$
begin
  insert into audit.changes (table_name, operation, new_row)
  select tg_table_schema || '.' || tg_table_name, tg_op, jsonb_build_object('rows', count(*)) from gone;
  return null;
end
$$;
create trigger reviews_deleted after delete on shop.reviews
  referencing old table as gone
  for each statement execute procedure audit.note_statement();
create trigger no_truncate before truncate on shop.payments
  for each statement execute procedure shop.set_updated_at();
-- Disabled: must still be so on the target.
alter table shop.payments disable trigger no_truncate;

-- A constraint trigger, checked at commit.
create function warehouse.check_move() returns trigger
language plpgsql
as $$
begin
  if new.kind = 'in' and new.delta < 0 then
    raise exception 'a move of kind "in" cannot take % pieces away', -new.delta
      using errcode = 'check_violation';
  end if;
  return null;
end
$$;
create constraint trigger stock_moves_sign
  after insert or update on warehouse.stock_moves
  deferrable initially deferred
  for each row execute procedure warehouse.check_move();

create function shop.order_total(wanted bigint) returns numeric
language sql stable strict
as $$
  select coalesce(sum(quantity * unit_price::numeric), 0)
    from shop.order_items
   where order_id = wanted
$$;

create function shop.search_products(words text, max_rows integer default 10)
returns table (id integer, name text, rank real)
language plpgsql stable rows 10 cost 200
as $$
begin
  return query
    select p.id, p.name, ts_rank(p.search, plainto_tsquery('english', words)) as r
      from shop.products p
     where p.search @@ plainto_tsquery('english', words)
     order by r desc, p.id
     limit max_rows;
end
$$;

create function shop.fits(inner_size shop.dimensions, outer_size shop.dimensions) returns boolean
language sql immutable
as $$
  select (inner_size).width_mm <= (outer_size).width_mm
     and (inner_size).height_mm <= (outer_size).height_mm
     and (inner_size).depth_mm <= (outer_size).depth_mm
$$;
create operator shop.<<= (procedure = shop.fits, leftarg = shop.dimensions, rightarg = shop.dimensions);

create aggregate shop.multiply(numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');

create function shop.variadic_first(variadic list anyarray) returns anyelement
language sql immutable
as $$ select $1[1] $$;

comment on function shop.order_total(bigint) is 'Without shipping; see also orders.total';
comment on trigger settings_audit on shop.settings is 'Ask before you switch this off';

-- A rule that writes a second table.
create rule coupon_log as on insert to shop.coupons
  do also insert into audit.coupon_log (code) values (new.code);

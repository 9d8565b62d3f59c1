-- Stored generated columns: never sent, computed again by the target. One is
-- built in, one calls a function of ours (qualified, see 10-types.sql), one
-- has an index.
alter table shop.order_items
  add column line_total numeric(14,2) generated always as (quantity * unit_price::numeric) stored;
alter table shop.products
  add column slug text generated always as (shop.slug(name)) stored;
create index products_slug_idx on shop.products (slug);
-- In the middle of the row, not at its end.
create table shop.boxes (
  id        integer generated always as identity primary key,
  width_mm  integer not null,
  volume_l  numeric generated always as (width_mm::numeric * height_mm * depth_mm / 1000000) stored,
  height_mm integer not null,
  depth_mm  integer not null
);

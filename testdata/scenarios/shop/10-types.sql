-- Schemas, types and the functions that types depend on.
create schema shop;
create schema warehouse;
create schema analytics;
create schema audit;

comment on schema shop is 'What the customer sees';
comment on schema audit is 'Who changed what; written by triggers only';

create type shop.order_status as enum ('new', 'paid', 'packed', 'shipped', 'returned', 'cancelled');
create type warehouse.move_kind as enum ('in', 'out', 'count');
-- A label put in the middle: its sort order is a fraction inside the catalog.
create type shop.priority as enum ('low', 'high');
alter type shop.priority rename to urgency;

-- Composite types: one as a column, one for a typed table.
create type shop.dimensions as (width_mm integer, height_mm integer, depth_mm integer, note text);
create type shop.currency_row as (code character(3), name text, minor_units smallint);

-- A range type of our own, next to the built-in ones.
create type shop.price_range as range (subtype = numeric);

-- The body names nothing that is outside pg_catalog: it also has to work with
-- the empty search_path of a dump, an index build and logical apply.
create function shop.is_email(value text) returns boolean
language sql immutable
as $$ select value ~ '^[^@[:space:]]+@[^@[:space:]]+[.][a-z]+$' $$;

create domain shop.email as text
  constraint email_form check (shop.is_email(value));
create domain shop.amount as numeric(12,2)
  default 0
  not null
  constraint amount_not_negative check (value >= 0);
create domain shop.sku as character varying(20)
  check (value ~ '^[A-Z]{2}-[0-9]+$');
-- A domain over a domain.
create domain shop.small_amount as shop.amount
  constraint small check (value < 100000);

comment on type shop.order_status is 'In the order in which an order goes through them';
comment on domain shop.email is 'Loose form; the mail server is the judge';

-- A collation and a text search configuration of our own.
create collation shop.bytewise from "C";
create text search configuration shop.product_search (copy = pg_catalog.english);

-- For an expression index. "set search_path" instead of qualified names: the
-- other way to be safe under an empty search_path.
create function shop.plain(value text) returns text
language plpgsql immutable strict
set search_path = shop, pg_temp
as $$ begin return lower(btrim(value)); end $$;

create function shop.slug(value text) returns text
language sql immutable
as $$ select pg_catalog.regexp_replace(shop.plain(value), '[^a-z0-9]+', '-', 'g') $$;

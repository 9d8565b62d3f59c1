-- Rows. The setting pgleap.scale multiplies those of the big tables
-- (1, the default: about 20 MB; 50: about 1 GB). Nothing is random.
-- Days are not 24 hours long in every time zone.
set local time zone 'UTC';

create or replace function pg_temp.scaled(at_scale_1 bigint) returns bigint
language sql stable
as $$ select at_scale_1 * coalesce(nullif(current_setting('pgleap.scale', true), ''), '1')::int $$;

insert into public.schema_migrations
select to_char(i, 'FM0000') || '_step', timestamptz '2023-01-01 00:00:00+00' + i * interval '1 week'
  from generate_series(1, 40) i;

insert into shop.countries
values ('de', 'Deutschland'), ('fr', 'France'), ('it', 'Italia'), ('jp', '日本'),
       ('us', 'United States'), ('at', 'Österreich'), ('ch', 'Schweiz'), ('pl', 'Polska');
insert into shop.currencies
values ('EUR', 'Euro', 2), ('JPY', 'Yen', 0), ('USD', 'Dollar', 2), ('TND', 'Dinar', 3);

-- Two out of three point at an address that does not exist yet: customers and
-- addresses form a circle, checked at commit. Address i belongs to customer i.
insert into shop.customers (email, name, country, birthday, credit, preferences, tags, default_address_id, created_at, updated_at)
select 'customer' || i || '@example.org',
       'Customer ' || substr(md5('name' || i), 1, 10),
       (array['de', 'fr', 'it', 'jp', 'us', 'at', 'ch', 'pl'])[1 + i % 8],
       date '1950-01-01' + (i * 17 % 20000)::int,
       (i % 500) / 10.0,
       jsonb_build_object('newsletter', i % 3 = 0, 'colour', substr(md5(i::text), 1, 6), 'depth', jsonb_build_array(i, i % 7)),
       array['t' || i % 10, 'g' || i % 33],
       case when i % 3 <> 0 then i end,
       timestamptz '2023-01-01 00:00:00+00' + i * interval '7 minutes',
       timestamptz '2023-01-01 00:00:00+00' + i * interval '8 minutes'
  from generate_series(1, pg_temp.scaled(2500)) i;

insert into shop.addresses (customer_id, lines, city, country, position)
select 1 + (i - 1) % pg_temp.scaled(2500),
       array['Street ' || i, null, 'Floor ' || i % 9],
       'City ' || i % 400,
       (array['de', 'fr', 'it', 'jp', 'us', 'at', 'ch', 'pl'])[1 + i % 8],
       point(i % 180, i % 90)
  from generate_series(1, pg_temp.scaled(3750)) i;

insert into shop.customer_notes (customer_id, internal, note)
select i * 3, i % 4 <> 0, 'Called on day ' || i || ': ' || md5(i::text)
  from generate_series(1, 600) i;

insert into shop.categories (parent_id, name, path)
select case when i > 5 then (i - 1) / 5 end, 'Category ' || i, 'root/' || i
  from generate_series(1, 60) i;

insert into shop.products (sku, name, description, price, price_band, size, attributes, urgency, active, updated_at)
select 'AB-' || i,
       'Product ' || substr(md5('product' || i), 1, 8) || ' no ' || i,
       'A ' || (array['red', 'green', 'blue', 'small', 'large'])[1 + i % 5] || ' thing for everyday use, ' || md5(i::text),
       (i % 2000) / 4.0 + 1,
       shop.price_range((i % 50)::numeric, i % 50 + 10.5),
       row(i % 300, i % 200, 5, 'box, "size" ' || i % 4)::shop.dimensions,
       jsonb_build_object('weight', i % 90, 'made_in', 'country ' || i % 8, 'parts', jsonb_build_array('a' || i % 3, null)),
       case when i % 9 = 0 then 'high' else 'low' end::shop.urgency,
       i % 20 <> 0,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute'
  from generate_series(1, pg_temp.scaled(1000)) i;

insert into shop.product_categories
select i, 1 + i % 60, i % 5 from generate_series(1, pg_temp.scaled(1000)) i
union all
select i, 1 + (i + 7) % 60, 9 from generate_series(1, pg_temp.scaled(1000)) i where i % 3 = 0;

insert into shop.product_images (product_id, image)
select i, decode((select string_agg(md5(i || '/' || j), '') from generate_series(1, 250) j), 'hex')
  from generate_series(1, pg_temp.scaled(100)) i;

-- 128 kB of text that does not compress, in some rows twice.
insert into shop.product_documents (product_id, title, body, body_plain)
select i, 'Manual ' || i, long.text, case when i % 5 = 0 then long.text else repeat('plain ', i::int % 50) end
  from generate_series(1, pg_temp.scaled(20)) i
 cross join lateral (select string_agg(md5((i * 10000 + j)::text), '') as text from generate_series(1, 4000) j) long;
-- And one that compresses very well.
insert into shop.product_documents (product_id, title, body) values (1, 'Blank pages', repeat(' ', 2000000));

insert into shop.price_lists (product_id, price, valid)
select 1 + i / 4, 10 + i % 90, daterange(date '2024-01-01' + (i % 4) * 90, date '2024-01-01' + (i % 4 + 1) * 90)
  from generate_series(0, 1999) i;

insert into shop.tax_rates
select c.code, date '2000-01-01' + y * 365, 0.15 + y / 1000.0
  from shop.countries c, generate_series(0, 20) y;

insert into shop.carts
select md5('cart' || i)::uuid, case when i % 5 <> 0 then 1 + i * 13 % pg_temp.scaled(2500) end,
       timestamptz '2024-03-01 00:00:00+00' + i * interval '3 minutes',
       ('10.' || i % 250 || '.' || i % 99 || '.' || i % 77)::inet
  from generate_series(1, pg_temp.scaled(1000)) i;
insert into shop.cart_items
select md5('cart' || i)::uuid, 1 + (i * 31 + j * 7) % pg_temp.scaled(1000), 1 + j % 3
  from generate_series(1, pg_temp.scaled(1000)) i, generate_series(1, 2) j;

insert into shop.orders (customer_id, address_id, status, placed_at, notes, shipping, total, updated_at)
select 1 + i * 13 % pg_temp.scaled(2500),
       1 + i * 13 % pg_temp.scaled(2500),
       (array['new', 'paid', 'packed', 'shipped', 'shipped', 'shipped', 'returned', 'cancelled'])[1 + i % 8]::shop.order_status,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '26 minutes' / pg_temp.scaled(1),
       case when i % 11 = 0 then 'Leave it at the neighbour''s door' end,
       (i % 4) * 2.5,
       (i * 37 % 100000) / 100.0,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '27 minutes' / pg_temp.scaled(1)
  from generate_series(1, pg_temp.scaled(7000)) i;

insert into shop.order_items (order_id, line, product_id, quantity, unit_price)
select i, j, 1 + (i * 31 + j * 7) % pg_temp.scaled(1000), 1 + (i + j) % 4, (i * j % 2000) / 4.0 + 1
  from generate_series(1, pg_temp.scaled(7000)) i, generate_series(1, 2) j;

insert into shop.payments (order_id, amount, method, reference, paid_at)
select i, (i * 37 % 100000) / 100.0, (array['card', 'transfer', 'cash'])[1 + i % 3], md5('payment' || i)::uuid,
       timestamptz '2024-01-01 00:05:00+00' + i * interval '26 minutes' / pg_temp.scaled(1)
  from generate_series(1, pg_temp.scaled(6000)) i;
insert into shop.refunds (payment_id, amount, reason)
select i * 20, 5, 'Reason ' || i from generate_series(1, pg_temp.scaled(300)) i;

insert into shop.coupons (code, percent, valid)
select 'CODE' || i, i % 50, tstzrange('2024-01-01 00:00:00+00', case when i % 4 <> 0 then timestamptz '2024-01-01 00:00:00+00' + i * interval '1 day' end)
  from generate_series(1, 200) i;
insert into shop.coupon_uses (code, order_id)
select 'CODE' || 1 + i % 200, i from generate_series(1, 2000) i;

insert into shop.reviews
select 1 + i % pg_temp.scaled(1000), 1 + i * 7 % pg_temp.scaled(2500), 1 + i % 5,
       case when i % 3 <> 0 then 'Good, but ' || md5(i::text) end,
       timestamptz '2024-02-01 00:00:00+00' + i * interval '5 minutes'
  from generate_series(1, pg_temp.scaled(2000)) i
    on conflict do nothing;

-- Every third row is there twice.
insert into shop.login_history
select 1 + i % 900, timestamptz '2024-05-01 00:00:00+00' + i * interval '1 minute',
       case when i % 500 <> 0 then ('192.168.' || i % 200 || '.' || i % 251)::inet end, 'Browser ' || i % 12, i % 17 <> 0
  from generate_series(1, pg_temp.scaled(1500)) i, generate_series(1, 1 + (i % 3 = 0)::int) j;

insert into shop.api_keys
select md5('key' || i), i, case when i % 2 = 0 then '{read,write}' else '{read}' end::text[], null
  from generate_series(1, 400) i;
insert into shop.gift_cards (code, balance)
select 'GIFT-' || md5('gift' || i), i % 100 from generate_series(1, 300) i;

insert into shop.settings
select 'setting.' || i, jsonb_build_object('value', i, 'text', repeat('x', i)), 'note ' || i
  from generate_series(1, 80) i;
-- What the audit trigger wrote while loading has the time of the load.
update audit.changes set at = timestamptz '2024-01-01 00:00:00+00' + id * interval '1 second';

insert into shop.front_page (position, product_id)
select i, i from generate_series(1, 30) i;

insert into shop.parties (name) select 'Party ' || i from generate_series(1, 50) i;
insert into shop.people (name, kind, given_name) select 'Person ' || i, 'person', 'Given ' || i from generate_series(1, 150) i;
insert into shop.companies (name, vat_number) select 'Company ' || i, 'DE' || i from generate_series(1, 100) i;

-- Edge values: nothing, the ends of the ranges, infinities, text that looks
-- like COPY's own marks.
insert into shop.type_samples (id) values (1);
insert into shop.type_samples
values (2, true, 32767, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308,
  123456789012345678901234567890.123456789012345678901234567890, 92233720368.07::numeric::money,
  'pad', 'varying', 'a_name', 'x', E'\\N', decode('00ff5c4e0a', 'hex'),
  'infinity', '24:00:00', '23:59:59.999999+14', 'infinity', 'infinity', '178000000 years 11 mons 30 days 23:59:59.999999',
  'ffffffff-ffff-ffff-ffff-ffffffffffff', '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
  b'10101', b'1', '{"b": 1,  "a": [1, 2,   3], "b": 2}', '{"n": 12345678901234567890.0123456789, "u": "\u00e4\ud83d\ude00"}', null,
  '(1.5,-2.25)', '((0,0),(1,1))', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),3>', '{1,-1,0}', '[(0,0),(1,1)]',
  $$'it''s' 'two words':3A,7B$$, $$'a' & !'b' | 'c':*$$, '[1,10)', '(,)', 'empty',
  '{1,NULL,3}', '{{a,"b,c"},{"d\"e",NULL}}', 'returned', '{new,cancelled}', 'a@example.org',
  row(1, 2, 3, E'quote " comma , back\\slash')::shop.dimensions,
  array[row(1, 2, 3, null)::shop.dimensions, null], '[1.5,2.5)');
insert into shop.type_samples
values (3, false, -32768, -9223372036854775808, 'NaN', '-Infinity', 'NaN', (-92233720368.08::numeric)::money,
  '', '', '', '', E'tab\there, line\nbreak, return\r, backslash \\. end', '',
  '-infinity', '00:00:00', '00:00:00-14', '-infinity', '4714-11-24 00:00:00+00 BC', '-1 years -1 mons +1 days -00:00:00.000001',
  '00000000-0000-0000-0000-000000000000', '0.0.0.0', '::/0', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff',
  b'00000', b'', 'null', 'null', null,
  '(Infinity,-Infinity)', '((0,0),(0,0))', '((0,0))', '((0,0))', '<(0,0),0>', '{0,1,0}', '[(0,0),(0,0)]',
  '', '', 'empty', 'empty', '[2024-01-01,infinity]',
  '[0:2]={7,8,9}', '{}', 'new', '{}', 'ä.ö@example.org', row(null, null, null, null)::shop.dimensions,
  '{}', 'empty');
insert into shop.type_samples (id, c_real, c_double, c_numeric, c_text, c_date, c_timestamptz, c_interval)
select i, 1 / i::real, 1 / i::double precision, 1 / i::numeric, md5(i::text), date '1900-01-01' + i * 50,
       timestamptz '1900-01-01 00:00:00+00' + i * interval '50 days 1.234567 seconds', i * interval '1 month 1.5 days'
  from generate_series(4, 500) i;
-- A server built without XML support has the type but takes no values.
do $$
begin
  update shop.type_samples set c_xml = '<a b="1">text &amp; more</a>' where id in (2, 4);
exception when feature_not_supported then
  null;
end
$$;

insert into warehouse.sites (name, position) values
  ('North', '(53.5,10)'), ('South', '(48.1,11.5)'), ('East', '(51,13.7)'), ('West', '(50.9,6.9)'), ('Closed', null);
insert into warehouse.bins
select s, 'R' || b, b::bit(8) from generate_series(1, 4) s, generate_series(1, 60) b;
insert into warehouse.inventory
select 1 + i % 4, 1 + i / 4, 'R' || 1 + i % 60, 10 + i % 100, i % 10
  from generate_series(0, pg_temp.scaled(4000) - 1) i;
insert into warehouse.stock_moves (site_id, product_id, kind, delta, took, moved_at)
select 1 + i % 4, 1 + i * 11 % pg_temp.scaled(1000), (array['in', 'out', 'count'])[1 + i % 3]::warehouse.move_kind,
       case i % 3 when 1 then -(i % 20) else i % 20 end, i % 600 * interval '1 second',
       timestamptz '2024-01-01 00:00:00+00' + i * interval '10 minutes'
  from generate_series(1, pg_temp.scaled(4000)) i;
insert into warehouse.shipments (order_id, site_id, carrier, tracking, sent_at, weight_kg)
select i * 2, 1 + i % 4, 'Carrier ' || i % 3, substr(md5('track' || i), 1, 20),
       timestamptz '2024-01-02 00:00:00+00' + i * interval '26 minutes' / pg_temp.scaled(1), i % 100 / 7.0
  from generate_series(1, pg_temp.scaled(2500)) i;
insert into warehouse.shipment_items
select i, i * 2, 1, 1 + i % 4 from generate_series(1, pg_temp.scaled(2500)) i;
insert into warehouse.suppliers (name, mail)
select 'Supplier ' || i, 'orders@supplier' || i || '.example.com' from generate_series(1, 40) i;
insert into warehouse.purchase_orders (supplier_id, ordered_on, lines)
select 1 + i % 40, date '2024-01-01' + i, jsonb_build_array(jsonb_build_object('product', i, 'pieces', i % 9))
  from generate_series(1, 300) i;
insert into warehouse.maintenance_windows (during, what)
select tstzrange(d, d + interval '2 hours'), 'inspection ' || i
  from generate_series(1, 100) i, lateral (select timestamptz '2024-01-01 00:00:00+00' + i * interval '1 day' as d) t;
insert into warehouse.labels select nextval('warehouse.label_seq'), 'Label ' || i from generate_series(1, 100) i;
insert into warehouse.settings select 'setting.' || i, md5(i::text) from generate_series(1, 30) i;

insert into analytics.daily_totals
select date '2024-01-01' + i, i % 200, i * 99.5 from generate_series(0, 180) i;

insert into analytics.events (occurred_at, customer_id, kind, payload)
select timestamptz '2024-01-01 00:00:00+00' + (i * 7919 % 217000) * interval '1 minute',
       1 + i % pg_temp.scaled(2500), (array['view', 'click', 'buy'])[1 + i % 3],
       jsonb_build_object('page', '/p/' || i % 300, 'token', md5(i::text))
  from generate_series(1, pg_temp.scaled(10000)) i;
insert into shop.notifications (channel, sent_to, subject)
select (array['email', 'sms', 'push'])[1 + i % 3], 'customer' || i, 'Subject ' || md5(i::text)
  from generate_series(1, pg_temp.scaled(1500)) i;
insert into analytics.page_views (region, viewed_on, page, duration)
select (array['eu', 'us', 'asia'])[1 + i % 3], date '2024-01-01' + (i % 360)::int, '/page/' || i % 500, i % 300 * interval '1 second'
  from generate_series(1, pg_temp.scaled(5000)) i;

-- Where the stand-alone sequences stand. The tables' own ones were moved by
-- the rows.
select nextval('shop.descending_seq') from generate_series(1, 12);
select nextval('shop.descending_bounded_seq') from generate_series(1, 8);
select nextval('shop.ring_seq') from generate_series(1, 17);          -- round twice
select nextval('shop.ring_down_seq') from generate_series(1, 4);
select nextval('shop.cached_step_seq') from generate_series(1, 3);    -- a block of 20 taken, 3 used
select nextval('shop.small_seq') from generate_series(1, 30);
select nextval('shop.int_seq') from generate_series(1, 9);
select nextval('shop.big_seq') from generate_series(1, 9);
select nextval('shop.negative_seq') from generate_series(1, 40);      -- still below zero
select nextval('shop.full_seq') from generate_series(1, 5);           -- the last one
select nextval('shop."Mixed_Case_seq"');                              -- called once: last_value is the start
select nextval('shop.ticket_seq') from generate_series(1, 77);
select setval('shop.set_called_seq', 500);
select setval('shop.set_not_called_seq', 500, false);                 -- the next value is 500 itself
select setval('shop.nearly_full_seq', 32764);
-- An identity sequence that was set back by hand, ahead of the rows.
select setval(pg_get_serial_sequence('shop.front_page', 'id'), 1000, false);

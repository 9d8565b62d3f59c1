-- Stand-alone sequences of every kind. Where they stand is set in
-- 85-sequences.sql; tables bring serial and identity ones of their own.
create sequence shop.order_number_seq start with 100000;          -- used by a default, owned by nothing
create sequence shop.never_called_seq;                            -- is_called stays false
create sequence shop.set_called_seq;                              -- setval(…, true)
create sequence shop.set_not_called_seq;                          -- setval(…, false)
create sequence shop.descending_seq increment by -1;              -- -1, -2, …
create sequence shop.descending_bounded_seq as smallint
  increment by -5 minvalue -500 maxvalue 1000 start with 1000;
create sequence shop.ring_seq minvalue 1 maxvalue 7 cycle;        -- comes round
create sequence shop.ring_down_seq increment by -1 minvalue 1 maxvalue 9 start with 9 cycle;
create sequence shop.cached_seq cache 20;                         -- sessions keep blocks of 20
create sequence shop.cached_step_seq increment by 10 cache 20;
create sequence shop.small_seq as smallint;
create sequence shop.int_seq as integer increment by 5 start with 3;
create sequence shop.big_seq as bigint start with 9000000000;     -- beyond 32 bits
create sequence shop.negative_seq minvalue -100 start with -100;
create sequence shop.nearly_full_seq as smallint minvalue 1 maxvalue 32767; -- three values from its end
create sequence shop.full_seq minvalue 1 maxvalue 5;              -- handed out its last value: the next nextval fails
create sequence shop."Mixed_Case_seq";
-- The same name in two schemas.
create sequence shop.ticket_seq;
create sequence warehouse.ticket_seq start with 5000 increment by 2;

comment on sequence shop.order_number_seq is 'Printed on invoices: no value twice, ever';

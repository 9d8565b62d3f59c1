-- Nulls that are equal for a unique constraint, and a foreign key action that
-- touches one column only.
create table shop.loyalty_cards (
  id          bigserial primary key,
  customer_id bigint,
  partner     text,
  country     character(2),
  unique nulls not distinct (customer_id, partner)
);
create table shop.loyalty_points (
  id          bigserial primary key,
  card_id     bigint,
  points      integer not null,
  foreign key (card_id) references shop.loyalty_cards (id) on delete set null (card_id)
);

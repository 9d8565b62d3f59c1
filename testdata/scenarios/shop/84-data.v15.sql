insert into shop.loyalty_cards (customer_id, partner, country) select i, case when i % 2 = 0 then 'partner' end, 'de' from generate_series(1, 200) i;
insert into shop.loyalty_points (card_id, points) select i, i * 10 from generate_series(1, 200) i;

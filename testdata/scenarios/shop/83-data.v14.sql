insert into shop.opening_hours (name, open, prices)
select 'Shop ' || i, tsmultirange(tsrange('2024-01-01 08:00', '2024-01-01 12:00'), tsrange('2024-01-01 13:00', timestamp '2024-01-01 14:00' + i * interval '1 minute')),
       case when i % 2 = 0 then '{[1,2),[5,9.5]}' else '{}' end::nummultirange
  from generate_series(1, 100) i;

insert into shop.boxes (width_mm, height_mm, depth_mm) select i, 2 * i, 3 * i from generate_series(1, 200) i;
insert into analytics.session_notes (session_id, note)
select md5('session' || i)::uuid, 'note ' || i from generate_series(1, 200) i;

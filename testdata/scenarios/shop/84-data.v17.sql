insert into analytics.searches (searched_on, words)
select date '2024-01-01' + i, 'words ' || i from generate_series(0, 700) i;

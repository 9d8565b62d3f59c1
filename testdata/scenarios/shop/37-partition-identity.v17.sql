-- From 17 on a partitioned table may have an identity column: one sequence,
-- owned by the root, used by every leaf.
create table analytics.searches (
  id          bigint generated always as identity,
  searched_on date not null,
  words       text not null,
  primary key (searched_on, id)
) partition by range (searched_on);
create table analytics.searches_2024 partition of analytics.searches
  for values from ('2024-01-01') to ('2025-01-01');
create table analytics.searches_2025 partition of analytics.searches
  for values from ('2025-01-01') to ('2026-01-01');

-- The tables of pgbench as "pgbench -i" makes them, but for one column:
-- pgbench_history has a key of its own, without which updates and deletes of
-- its rows could not be replicated.
create table pgbench_branches (
  bid      integer not null,
  bbalance integer,
  filler   character(88)
) with (fillfactor = 100);

create table pgbench_tellers (
  tid      integer not null,
  bid      integer,
  tbalance integer,
  filler   character(84)
) with (fillfactor = 100);

create table pgbench_accounts (
  aid      integer not null,
  bid      integer,
  abalance integer,
  filler   character(84)
) with (fillfactor = 100);

create table pgbench_history (
  tid    integer,
  bid    integer,
  aid    integer,
  delta  integer,
  mtime  timestamp,
  filler character(22),
  hid    bigserial primary key
);

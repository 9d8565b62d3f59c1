-- From 12 on a foreign key may point at a partitioned table.
create table analytics.session_notes (
  id         bigserial primary key,
  session_id uuid not null references analytics.sessions on delete cascade,
  note       text not null
);

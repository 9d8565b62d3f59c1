-- Multiranges, and a column with its own compression method.
create table shop.opening_hours (
  id     serial primary key,
  name   text not null,
  open   tsmultirange not null,
  prices nummultirange
);
alter table shop.opening_hours alter column name set compression pglz;

-- A partitioned table with everything that its partitions copy.
create table further.tree (id integer, region text, ref integer, primary key (id, region)) partition by list (region);
create table further.tree_a partition of further.tree for values in ('a', 'it''s');
create table further.tree_rest partition of further.tree default;
create index tree_ref on further.tree (ref);
create trigger copied after insert on further.tree for each row execute procedure further.touch();
alter table further.tree_a disable trigger copied;
create trigger copied_always after insert on further.tree for each row execute procedure further.touch();
alter table further.tree_a enable always trigger copied_always;
alter table further.tree add foreign key (ref) references further.keyed;
alter table further.keyed add constraint included unique (id) include (name);
create procedure further.proc(a integer, b text default 'x') language plpgsql as 'begin commit; end';
alter index further.keyed_name alter column 1 set statistics 300;

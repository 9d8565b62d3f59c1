create table further.referencing (id integer, region text, foreign key (id, region) references further.tree);
create table further.computed (a integer, b integer generated always as (a * 2) stored);
create collation further.loose (provider = icu, locale = 'und', deterministic = false);

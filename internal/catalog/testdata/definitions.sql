-- What the checks of definitions look at. {{marks}} begin lines that not every major understands.
create schema app;
set search_path = app, public;
create table t (id serial primary key, a int);
create table fresh (id bigserial primary key);
select nextval('t_id_seq'), nextval('t_id_seq');
create sequence locked;
select nextval('locked');

create materialized view m1 as select id from t;
create unique index m1_id on m1 (id);
create materialized view m2 as select id from t;
create unique index m2_expression on m2 ((id + 1));
create unique index m2_partial on m2 (id) where id > 0;

create table by_day (at date not null) partition by range (at);
create table by_day_1 partition of by_day for values from ('2000-01-01') to ('2001-01-01');
create table by_day_2 partition of by_day for values from ('2001-01-01') to ('2002-02-03');
create table endless (at timestamptz not null) partition by range (at);
create table endless_1 partition of endless for values from ('2000-01-01') to ('infinity');
create table by_number (n int not null) partition by range (n);
create table by_number_1 partition of by_number for values from (1) to (2);

create function touch() returns trigger language plpgsql as 'begin return null; end';
create trigger always_x after insert on t for each row execute procedure touch();
create trigger plain after insert on t for each row execute procedure touch();
create trigger off after insert on t for each row execute procedure touch();
alter table t enable always trigger always_x;
alter table t disable trigger off;
create rule r as on insert to t do also notify app;
alter table t enable replica rule r;
create table child (id int primary key, t int constraint child_t references t);
alter table child disable trigger all;
create function seen() returns event_trigger language plpgsql as 'begin end';
create event trigger et on ddl_command_end when tag in ('CREATE TABLE') execute procedure seen();
create event trigger et_off on sql_drop execute procedure seen();
alter event trigger et_off disable;

create table nv (a int);
alter table nv add constraint nv_a check (a > 0) not valid;
create domain d as int;
alter domain d add constraint d_positive check (value > 0) not valid;

create view system_1 as select relname, relkind from pg_class;
create view system_2 as with q as (select proname from pg_proc) select *, (select count(extversion) from pg_extension) from q;
create cast (bool as bytea) with inout;
{{before14}}create aggregate gather (anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');
{{before14}}create function half(int) returns int language sql as 'select $1';
{{before14}}create operator !!! (leftarg = int, procedure = half);
{{before12}}create table old (at abstime, r reltime[]);
{{before12}}create domain old_d as tinterval;
{{before12}}create function old_f(abstime) returns int language sql as 'select 1';

create table helper (id int);
create function bare(int) returns int language sql immutable as 'select $1 + count(*)::int from app.helper';
create function deep(int) returns int language plpgsql immutable as 'begin return app.bare($1); end';
create function safe(int) returns int language sql immutable set search_path = app as 'select $1 + count(*)::int from helper';
create function clock(int) returns int language sql immutable as 'select $1 + extract(epoch from pg_catalog.now())::int';
create table uses (a int constraint uses_a check (app.deep(a) >= 0), b int constraint uses_b check (app.safe(b) >= 0));
create domain checked as int constraint checked_a check (app.bare(value) >= 0);
create index uses_i on uses (app.bare(a));
create index uses_w on uses (a) where app.bare(a) > 0;
create view through as select app.bare(1) as x;
create materialized view m3 as select x from through with no data;
create table by_function (a int) partition by range (app.bare(a));
{{generated}}create table gen (a int, g int generated always as (app.clock(a)) stored);
-- only now: from 17 on no index can be made over what needs a search_path
create or replace function bare(int) returns int language sql immutable as 'select $1 + count(*)::int from helper';
reset search_path;

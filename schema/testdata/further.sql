-- What the scenarios do not have: definitions that are hard to cut, to order, to compare or to clear away.
create extension hstore;
create extension citext;
create schema further;
create schema "odd ""schema"" $1 * ? \ Upper";
comment on schema further is 'with ''quotes'' and -- no comment';

-- Bodies that look like pg_dump's own headers.
create function further.looks_like_a_header() returns text language plpgsql as $body$
begin
  return '
--
-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.ghost ();
SET default_tablespace = ''nowhere'';
\unrestrict x
';
end $body$;
create function further.dollars() returns text language sql as $_$ select $a$ $$ -- $a$ || E'\'' || $$;$$ /* ; /* ' */ */ $_$;
comment on function further.dollars() is '
--
-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres
--
';
create table further."semi;colon ""q"" --" ("a;b" text default ';', "c""d" text default E'\\''; \n--');

-- A view over a primary key: pg_dump puts it behind the constraint.
create table further.keyed (id integer primary key, name text, price double precision default 0.1, ratio real default '0.1'::real,
  big double precision default '12345678901234567890'::double precision,
  state character varying(10) check (state in ('a', 'b', 'it''s, c')), kind varchar default 'x' check (kind <> all (array['p', 'q'])));
create view further.grouped as select id, name, count(*) from further.keyed group by id;
comment on view further.grouped is 'behind the key';
create materialized view further.filled as select * from further.grouped;
create unique index filled_id on further.filled (id);
create index keyed_name on further.keyed (lower(name) text_pattern_ops, price desc nulls last) where name <> 'x';
comment on index further.keyed_name is 'an index';
create index keyed_price on further.keyed (price);
alter table further.keyed cluster on keyed_price;

-- Triggers that fire during apply, and comments on them.
create function further.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger always before insert on further.keyed for each row execute procedure further.touch();
alter table further.keyed enable always trigger always;
comment on trigger always on further.keyed is 'always';
create trigger "on replica" after update of name on further.keyed for each row when (new.name <> 'enable always trigger') execute procedure further.touch();
alter table further.keyed enable replica trigger "on replica";
create trigger ordinary before update on further.keyed for each row execute procedure further.touch();
comment on trigger ordinary on further.keyed is 'ordinary';

create function further.event() returns event_trigger language plpgsql as 'begin end';
create event trigger further_event on ddl_command_start when tag in ('DROP DOMAIN', 'CREATE DOMAIN') execute procedure further.event();
comment on event trigger further_event is 'fires';

-- Things without a schema.
create foreign data wrapper nothing_wrapper;
create server "far away" foreign data wrapper nothing_wrapper options (host 'h');
create user mapping for current_user server "far away" options (password 'secret of the mapping');
create foreign table further.far (id integer options (name 'ID')) server "far away" options (t 'x');
create type further.money_in as (amount numeric, currency text);
create function further.to_text(further.money_in) returns text language sql immutable as 'select $1.amount::text';
create cast (further.money_in as text) with function further.to_text(further.money_in) as assignment;
create domain further.positive as integer;
alter domain further.positive add constraint is_positive check (value > 0) not valid;
create text search configuration further.search (copy = pg_catalog.english);
create collation further.plain from "C";
create operator further.=== (procedure = pg_catalog.int4eq, leftarg = integer, rightarg = integer, commutator = operator(further.===), merges, hashes);
create operator family further.fam using btree;
create operator class further.opc for type integer using btree family further.fam as function 1 btint4cmp(integer, integer);
create conversion further.conv for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;

-- Unlogged with an identity, a zoned bound, a rule with two actions, statistics.
create unlogged table further.fast (id bigint generated always as identity, at timestamptz);
create table further.zoned (at timestamptz) partition by range (at);
create table further.zoned_1 partition of further.zoned for values from ('2020-01-01 00:00+02') to ('2021-01-01 00:00+02');
create rule two as on update to further.keyed where new.name = ';' do also (insert into further.fast (at) values (now()); delete from further.fast where at is null);
create rule quiet as on delete to further.fast do instead nothing;
create statistics further.stats on at, id from further.fast;
alter table further.fast enable row level security, force row level security;
create policy mine on further.fast for select to current_user using (id > 0 and at = any (array[now(), 'infinity'::timestamptz]));
create table further.late_parent (a integer);
create table further.late_child (b integer) inherits (further.late_parent);
alter table further.late_parent add column c integer;

-- Privileges of every kind.
do $$ begin
  if not exists (select from pg_roles where rolname = 'Further "Role"') then create role "Further ""Role"""; end if;
end $$;
grant usage on schema further to "Further ""Role""" with grant option;
grant select (id), update (name) on further.keyed to public;
grant select, insert on further.keyed to "Further ""Role""";
revoke all on function further.dollars() from public;
grant usage on domain further.positive to "Further ""Role""";
revoke usage on type further.money_in from public;
alter default privileges in schema further grant select on tables to "Further ""Role""";
alter default privileges revoke execute on functions from public;
alter default privileges for role "Further ""Role""" grant usage on sequences to public;
revoke create on schema public from public;
grant create on schema public to "Further ""Role""";
comment on schema public is 'ours';
create function public.left_over() returns integer language sql as 'select 1';
create type public.left_type as enum ('b', 'a', 'it''s');

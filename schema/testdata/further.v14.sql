-- Bodies in SQL syntax hold semicolons outside of any quotes.
create function further.atomic(a integer) returns text language sql
begin atomic
  select case when a > 0 then case when a = 1 then 'one; "end"' else 'more' end end;
  select 'SET default_tablespace = x;' || a;
end;
create procedure further.atomic_too(inout a integer, out b text) language sql begin atomic select a, 'x'; end;
create function further.grouped_by_key() returns setof further.keyed language sql begin atomic select * from further.keyed group by id; end;
create type further.r as range (subtype = float8, subtype_diff = float8mi, multirange_type_name = further.many_r);
create table further.packed (t text compression pglz);
create function further.sql_syntax() returns date language sql return extract(year from now())::int + '2020-01-01'::date;
create table further.zones (at timestamptz default (now() at time zone 'utc'), s text default substring('abc' from 2));

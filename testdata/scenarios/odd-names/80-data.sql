-- Some hundred rows for every table of two or three plain columns, by name.
do $do$
declare
  t record;
begin
  for t in
    select c.oid::regclass as name,
           (select quote_ident(attname) from pg_attribute where attrelid = c.oid and attnum = 1) as key,
           (select quote_ident(attname) from pg_attribute where attrelid = c.oid and attnum = 2) as value,
           (select atttypid from pg_attribute where attrelid = c.oid and attnum = 2) as type
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relnatts in (2, 3) and not c.relispartition
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attidentity <> '')
       and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
     order by n.nspname::text collate "C", c.relname::text collate "C"
  loop
    continue when t.type not in ('text'::regtype, 'integer'::regtype, 'text[]'::regtype);
    execute format('insert into %s (%s, %s) select i, (case when i %% 10 <> 0 then %s end)::%s from generate_series(1, 200) i',
      t.name, t.key, t.value,
      case t.type when 'integer'::regtype then 'i % 7'
                  when 'text[]'::regtype then $q$array['{', i::text, null, '"', ',']$q$
                  else $q$(array['plain', 'it''s', '"', E'\\N', E'\\.', E'tab\t', E'new\nline', '漢字 🐘', ''])[1 + i % 9] || i / 9$q$ end,
      t.type::regtype);
  end loop;
end
$do$;

insert into "Mixed Case"."Twice" select generate_series(1, 5);
insert into "mixed case"."Once More" select from generate_series(1, 5);

-- Rows of nothing.
insert into "no columns" select from generate_series(1, 3);
insert into "no columns any more" default values;

do $do$
declare
  list text;
begin
  select string_agg(case a.atttypid
           when 'integer'::regtype then 'i * ' || a.attnum
           when 'text'::regtype then format('%L || i', 'text ' || a.attnum)
           when 'numeric'::regtype then 'i / 4.0'
           when 'boolean'::regtype then 'i % 2 = 0'
           else $q$timestamptz '2024-01-01 00:00:00+00' + i * interval '1 hour'$q$ end, ', ' order by a.attnum)
    into list
    from pg_attribute a
   where a.attrelid = '"300 columns"'::regclass and a.attnum > 1;
  execute format('insert into "300 columns" overriding system value select i, %s from generate_series(1, 200) i', list);
end
$do$;
-- "overriding" left the sequence behind.
select setval(pg_get_serial_sequence('"300 columns"', 'the key'), 200);

insert into "quote""s 'n' more"."Parent ""table"""
select i, E'k"''\\, ' || i % 3,
       (array['it''s new', 'say "hi"', 'a,b', ' ', 'NULL', '{x}', '漢字', 'back\slash', 'semi;colon'])[1 + i % 9]::"Mixed Case"."Status Type",
       row(i, 'a "b", (c)', case when i % 2 = 0 then 'NULL' end)::"quote""s 'n' more"."pair (x, y)",
       "back\slash"."Range""Type"(i, i + 5),
       case when i % 5 <> 0 then 'checked; ' || i end
  from generate_series(1, 300) i;
insert into "größe 漢字 🐘"."Kind" ("größe", "parent 1", "parent 2")
select i, 1 + i % 300, E'k"''\\, ' || (1 + i % 300) % 3 from generate_series(1, 500) i;
insert into "select"."Full; identity"
select i % 20, case when i % 3 = 0 then i end, case when i % 4 <> 0 then '"' || i % 5 end, case when i % 2 = 0 then 'a,b'::"Mixed Case"."Status Type" end
  from generate_series(1, 400) i;
insert into "select"."Full; identity" select null, null, null, null, null from generate_series(1, 3);
insert into "back\slash"."index\identity" select E'\\' || i, i, md5(i::text) from generate_series(1, 250) i;
insert into "Mixed Case"."Serial ""Table""" ("v") select 'row ' || i from generate_series(1, 250) i;
insert into "sixty-three bytes long, with a serial column and so a name cut " ("v") select 'row ' || i from generate_series(1, 250) i;
insert into "Mixed Case"."Root ""of"" all"
select (array['it''s', 'say "hi"', 'a;b', '-- x', '\', '漢字', E'new\nline', '', '%s', '$1'])[1 + i % 10], i, md5(i::text)
  from generate_series(1, 500) i;
insert into "Mixed Case"."Root ""of"" all" select null, i, 'no key' from generate_series(501, 520) i;
insert into "{curly,brackets}"."Child of ""Orders""" select 1000 + i, i, 'child', 'more' from generate_series(1, 100) i;

select nextval('"quote""s ''n'' more"."it''s a ""sequence""; -- yes"') from generate_series(1, 11);
select nextval('"größe 漢字 🐘"."größe"') from generate_series(1, 12);
select nextval('"percent %s %d %I $1"."%s"') from generate_series(1, 13);
select setval('"sixty-three bytes long, a sequence ---------------------------1"', 100);
select setval('"sixty-three bytes long, a sequence ---------------------------2"', 200, false);
select nextval(E'"new\nline_seq"') from generate_series(1, 14);
select nextval('"Seq"') from generate_series(1, 15);
select nextval('"seq"') from generate_series(1, 16);
select nextval('"c"."a.b_seq"') from generate_series(1, 17);
select nextval('"c.a"."b_seq"') from generate_series(1, 18);
select nextval('"mixed case"."Twice"') from generate_series(1, 19);

refresh materialized view "c.a"."Mat.View";

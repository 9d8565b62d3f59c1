-- Indexes, functions, triggers, views, policies, rules, statistics.
create index "Index ""on"" 'expr'; --" on "größe 漢字 🐘"."Kind" ((lower("text; with -- all") || ';"'' --')) where "text; with -- all" <> 'a;''b';
create index "sixty-three bytes long, an index -----------------------------1" on "Orders" ("ID", "id");
create index "sixty-three bytes long, an index -----------------------------2" on "Orders" ("id", "ID");
create index "new
line_idx" on "new
line" ("v
");
create statistics "back\slash"."Stat""s" (dependencies) on "\key\", "other" from "back\slash"."index\identity";

-- A body with text that looks like the headings of a dump, like the end of
-- COPY data and like commands of a client program. Whoever cuts a dump at
-- such lines cuts this function in two.
create function "Mixed Case"."looks like a dump"() returns text
language plpgsql
as $body$
begin
  return $text$
--
-- Name: x; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.x (
    id integer
);


--
-- Data for Name: x; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.x (id) FROM stdin;
1
\.

\connect other
\restrict abc
\unrestrict abc
--
-- PostgreSQL database dump complete
--
$text$;
end
$body$;

-- The same as an old-style string with every quote doubled.
create function "Mixed Case"."it's ""quoted""; $$"("select" text default 'a;''b"', "$1" integer default 1)
returns table ("out ""1""" text, "out;2" integer)
language sql stable
as 'select ''it''''s; '' || $1 || E''\n--\n-- Name: y; Type: VIEW; Schema: -; Owner: -\n--\n'', $2';
create function "Mixed Case"."it's ""quoted""; $$"("select" integer) returns integer
language sql immutable
as $_$ select $1 + 1 -- $_ $function$ $$ ;
$_$;

create function "select"."trigger"() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
  -- tg_argv[0] is 'a;b "c" \'
  if new."text; with -- all" = tg_argv[0] then
    raise exception '% is not allowed; "%"', tg_argv[0], tg_name;
  end if;
  return new;
end
$function$;
create trigger "Trigger ""1""; -- 'x'" before insert or update of "text; with -- all" on "größe 漢字 🐘"."Kind"
  for each row when (new."text; with -- all" <> ';')
  execute procedure "select"."trigger"('forbidden; "text" \', '漢字', '');

create view "select"."View; ""on"" 'odd'" as
  select k."größe" as "größe; --", k."text; with -- all" as "select", p."it's" as "it""s",
         'a;''b"
--
-- Name: z; Type: TABLE; Schema: public; Owner: -
--
'::text as "looks like
a dump"
    from "größe 漢字 🐘"."Kind" k
    left join "quote""s 'n' more"."Parent ""table""" p on (p."key, part 1", p."key ""part"" 2") = (k."parent 1", k."parent 2");
create view "view on; view" as select "größe; --", "it""s" from "select"."View; ""on"" 'odd'";
create materialized view "c.a"."Mat.View" as
  select "größe; --" as "a.b", count(*) as "count(*)" from "select"."View; ""on"" 'odd'" group by 1
with no data;
create unique index "Mat.View.idx" on "c.a"."Mat.View" ("a.b");

create rule "rule; ""r""" as on update to "table" where old."references" = 'never; this'
  do also insert into "user" ("user", "current_user") values (old."column" + 100000, ';');

alter table "user" enable row level security;
create policy "policy ""p""; '" on "user" to "o'brien", "say ""hi""" using ("current_user" <> 'a;b' or "current_user" = current_user::text);

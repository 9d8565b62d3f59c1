-- Owners, grants, comments.
alter schema "Mixed Case" owner to "Odd Owner";
alter table "Mixed Case"."T" owner to "Odd Owner";
alter table "漢字" owner to "größe 漢字";
alter table "Mixed Case"."Serial ""Table""" owner to "UPPER";
-- A view reads with the rights of its owner.
grant usage on schema "select" to "say ""hi""";
grant select on "select"."View; ""on"" 'odd'" to "say ""hi""";
alter view "view on; view" owner to "say ""hi""";
alter function "Mixed Case"."looks like a dump"() owner to "o'brien";
alter type "Mixed Case"."Status Type" owner to "dots.and,commas";

grant usage on schema "Mixed Case", "quote""s 'n' more", "größe 漢字 🐘", "{curly,brackets}" to "UPPER", "o'brien", "say ""hi""", "select";
grant select on all tables in schema "Mixed Case", " blanks ", "back\slash" to "o'brien", "say ""hi""", "größe 漢字";
grant select ("Id"), update ("ID") on "Orders" to "say ""hi""", "$role%s\n";
grant insert on "100%" to "$role%s\n", "dots.and,commas" with grant option;
grant usage on sequence "größe 漢字 🐘"."größe" to "select", "UPPER";
grant execute on function "Mixed Case"."it's ""quoted""; $$"(text, integer) to "say ""hi""";
revoke all on function "Mixed Case"."it's ""quoted""; $$"(integer) from public;
alter default privileges for role "Odd Owner" in schema "Mixed Case" grant select, insert on tables to "say ""hi""", "o'brien";

comment on table "Orders" is 'It''s "quoted"; -- not a comment
--
-- Name: orders; Type: TABLE; Schema: public; Owner: -
--
$$dollar$$ \backslash /* open';
comment on column "Orders"."Id" is ';';
comment on column """"."""""" is '"';
comment on schema "percent %s %d %I $1" is '%s %d %I $1 100%';
comment on constraint "Parent's ""key""; -- one" on "quote""s 'n' more"."Parent ""table""" is 'A ''key''; $body$ ';
comment on index "größe 漢字 🐘"."Index ""on"" 'expr'; --" is E'tab\there, \\. there';
comment on function "Mixed Case"."looks like a dump"() is '漢字 🐘 -- ;';
comment on trigger "Trigger ""1""; -- 'x'" on "größe 漢字 🐘"."Kind" is '''';
comment on sequence "quote""s 'n' more"."it's a ""sequence""; -- yes" is ' ';
comment on view "view on; view" is 'create table not_a_table ();';

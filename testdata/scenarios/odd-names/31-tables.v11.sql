-- Hash and default leaves, covering indexes, procedures with odd names.
create table "percent %s %d %I $1"."hash ""root""" (
  "the; key" uuid primary key,
  "v" text
) partition by hash ("the; key");
create table "c"."hash.0" partition of "percent %s %d %I $1"."hash ""root""" for values with (modulus 2, remainder 0);
create table "c.a"."hash 1" partition of "percent %s %d %I $1"."hash ""root""" for values with (modulus 2, remainder 1);
create table "select"."default" partition of "Mixed Case"."Root ""of"" all"
  (constraint "the default's key" primary key ("part, key", "id")) default;
create unique index "include ""this""" on "Orders" ("Id") include ("ID", "id");
create procedure "select"."procedure"("in" integer, "out""put" text default ';')
language sql
as $p$ update "select" set "where" = "out""put" where "from" = "in" -- Name: p; Type: PROCEDURE
$p$;

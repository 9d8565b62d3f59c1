-- Schemas. "c" with a table "a.b" and "c.a" with a table "b": the same letters
-- when somebody joins names with a dot and forgets the quotes.
create schema "c";
create schema "c.a";
create schema "Mixed Case";
create schema "mixed case";
create schema "select";
create schema " blanks ";
create schema "quote""s 'n' more";
create schema "größe 漢字 🐘";
create schema "back\slash";
create schema "percent %s %d %I $1";
create schema "a"".";  -- closes the quotes and goes on
create schema "{curly,brackets}";
create schema "PUBLIC";

-- Types. Labels with quotes, blanks, a comma, nothing but a blank, 63 bytes.
create type "Mixed Case"."Status Type" as enum
  ('it''s new', 'say "hi"', 'a,b', ' ', 'NULL', '{x}', '漢字', 'back\slash', 'semi;colon',
   'label of 63 bytes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
create type "mixed case"."Status Type" as enum ('the same name, another schema');
create type "quote""s 'n' more"."pair (x, y)" as ("first ""value""" integer, "second, value" text, "select" "Mixed Case"."Status Type");
create domain "select"."table" as text
  constraint "check; this -- now" check (value <> ';' and value <> '-- not a comment' and value <> '/* nor this */' and value <> $q$it's$q$)
  default 'a;b''c';
create type "back\slash"."Range""Type" as range (subtype = integer);
comment on type "Mixed Case"."Status Type" is 'A "type"; isn''t it? -- no comment';

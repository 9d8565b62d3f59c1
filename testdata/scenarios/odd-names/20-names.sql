-- Tables with one odd thing in their name each, and the same in the columns.
create table "'"                       ("'" integer primary key, "''" text);
create table """"                      ("""" integer primary key, """""" text);
create table " "                       (" " integer primary key, "  " text);
create table " leading"                (" id" integer primary key, " v" text);
create table "trailing "               ("id " integer primary key, "v " text);
create table "two  blanks"             ("i  d" integer primary key, "v" text);
create table "dot.ted"                 ("i.d" integer primary key, "a.b.c" text);
create table "comma,comma"             ("i,d" integer primary key, "a"",""b" text);
create table "semi;colon"              ("id;" integer primary key, "; drop table x;" text);
create table "-- comment"              ("--" integer primary key, "-- v" text);
create table "/* comment */"           ("/*" integer primary key, "*/" text);
create table "new
line" ("i
d" integer primary key, "v
" text);
create table "tab	tab"                 ("i	d" integer primary key, "	" text);
create table U&"carriage\000dreturn"      ("id" integer primary key, "v" text);
create table "back\slash"              ("\" integer primary key, "\n\t\\" text, "\." text);
create table "100%"                    ("%" integer primary key, "%s%d%n%I" text);
create table "$dollar$"                ("$" integer primary key, "$1" text, "$$" text);
create table "{a,b}"                   ("{" integer primary key, "}" text);
create table "[x](y)"                  ("[" integer primary key, "(" text);
create table "*"                       ("*" integer primary key, "?" text);
create table "/etc/../x"               (".." integer primary key, "/" text);
create table "<b>&amp;</b>"            ("<" integer primary key, "&" text);
create table "a=b host=c"              ("=" integer primary key, "a=b" text);
create table "E'x'"                    ("E'\n'" integer primary key, "U&'x'" text);
create table "1"                       ("1" integer primary key, "2" text);
create table "NULL"                    ("NULL" integer primary key, "null" text);
create table "ä"                       ("ö" integer primary key, "ß" text);
create table "漢字"                    ("番号" integer primary key, "値" text);
create table "🐘 elephant"             ("🔑" integer primary key, "👩‍👩‍👧" text);
create table "שלום"                    ("מספר" integer primary key, "ערך" text);   -- right to left
-- The same to the eye: one letter, and a letter with a combining accent.
create table U&"caf\00e9"              ("id" integer primary key, U&"\00e9" text, U&"e\0301" text);
create table U&"cafe\0301"             ("id" integer primary key, U&"\00e9" text, U&"e\0301" text);
create table U&"no\00a0break"          ("id" integer primary key, U&"zero\200bwidth" text);

-- Pairs that only differ in case.
create table "Orders"                  ("Id" integer primary key, "id" integer, "ID" text);
create table orders                    (id integer primary key, "Id" integer, "ID" text);
create table "ORDERS"                  ("ID" integer primary key, id integer, "Id" text);

-- Reserved words.
create table "select"                  ("from" integer primary key, "where" text);
create table "table"                   ("column" integer primary key, "references" text);
create table "user"                    ("user" integer primary key, "current_user" text, "password" text);
create table "group"                   ("by" integer primary key, "order" text);
create table "all"                     ("all" integer primary key, "only" text);
create table "only"                    ("only" integer primary key, "only *" text);
-- The system's columns and tables, nearly.
create table "pg_class"                ("oid " integer primary key, "Ctid" text, "relname" name);
create table "information_schema"      ("tables" integer primary key, "v" text);

-- Names of 63 bytes, three of them different only in the last one; one that
-- ends in a letter of two bytes, one all of letters of three.
create table "sixty-three bytes long, the last one differs -----------------A" ("id" integer primary key, "v" text);
create table "sixty-three bytes long, the last one differs -----------------B" ("id" integer primary key, "v" text);
create table "sixty-three bytes long, the last one differs -----------------b" ("id" integer primary key, "v" text);
create table "sixty-three bytes long, the end is a letter of two bytes ----ä" ("id" integer primary key, "v" text);
create table "長長長長長長長長長長長長長長長長長長長長長" ("長長長長長長長長長長長長長長長長長長長長番" integer primary key, "長長長長長長長長長長長長長長長長長長長長値" text);

-- The same letters when quotes are forgotten.
create table "c"."a.b"                 ("id" integer primary key, "v" text);
create table "c.a"."b"                 ("id" integer primary key, "v" text);
create table "a""."."""b"              ("id" integer primary key, "v" text);

-- The same table in several schemas.
create table "Mixed Case"."T"          ("Id" integer primary key, "V" text);
create table "mixed case"."T"          ("Id" integer primary key, "V" text);
create table "mixed case"."t"          ("id" integer primary key, "v" text);
create table "PUBLIC"."orders"         ("id" integer primary key, "v" text);
create table " blanks "." "            ("id" integer primary key, "v" text);
create table "{curly,brackets}"."{}"   ("id" integer primary key, "v" text[]);
create table "percent %s %d %I $1"."%" ("id" integer primary key, "v" text);

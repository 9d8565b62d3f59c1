-- Generated columns with odd names; one between ordinary ones.
create table "back\slash"."generated ""always""" (
  "id, one" integer generated always as identity primary key,
  "2 * id; --" bigint generated always as ("id's" * 2) stored,
  "id's" integer not null,
  "text\" text generated always as ('a;''b"' || "id's"::text || E'\\ \n -- Name: g; Type: TABLE') stored
);
insert into "back\slash"."generated ""always""" ("id's") select i from generate_series(1, 200) i;

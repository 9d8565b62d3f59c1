insert into "percent %s %d %I $1"."hash ""root""" select md5(i::text)::uuid, 'row ' || i from generate_series(1, 300) i;
insert into "Mixed Case"."Root ""of"" all" select 'default ' || i, i, null from generate_series(1, 100) i;

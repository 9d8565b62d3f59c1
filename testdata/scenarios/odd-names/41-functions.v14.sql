-- A parsed body over odd names.
create function "select"."begin atomic; end"("in; 1" integer) returns text
language sql stable
begin atomic
  select p."key ""part"" 2" || ';' || 'end;' from "quote""s 'n' more"."Parent ""table""" p where p."key, part 1" = "in; 1" limit 1;
end;

-- Roles with a blank, upper case, quotes of both kinds, a reserved word, no
-- ASCII. Run on both servers, any number of times. (No newline in the name of
-- a role: the dump programs refuse that.)
do $$
declare
  name text;
begin
  foreach name in array array['Odd Owner', 'UPPER', 'o''brien', 'say "hi"', 'select', 'größe 漢字', 'dots.and,commas', '$role%s\n']
  loop
    if not exists (select from pg_roles where rolname = name) then
      execute format('create role %I', name);
    end if;
  end loop;
end
$$;

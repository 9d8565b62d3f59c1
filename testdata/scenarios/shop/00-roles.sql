-- Roles are cluster-wide and no part of a schema dump, so this file runs on
-- the old and on the new server. It can be run again. No logins, no passwords.
do $$
begin
  if not exists (select from pg_roles where rolname = 'shop_owner') then create role shop_owner; end if;
  if not exists (select from pg_roles where rolname = 'shop_app') then create role shop_app; end if;
  if not exists (select from pg_roles where rolname = 'shop_readonly') then create role shop_readonly; end if;
  if not exists (select from pg_roles where rolname = 'shop_support') then create role shop_support noinherit; end if;
  if not pg_has_role('shop_app', 'shop_readonly', 'member') then grant shop_readonly to shop_app; end if;
  if not pg_has_role('shop_support', 'shop_readonly', 'member') then grant shop_readonly to shop_support; end if;
end
$$;
-- A role setting: moves with the roles, not with the database.
alter role shop_readonly set statement_timeout = '5min';

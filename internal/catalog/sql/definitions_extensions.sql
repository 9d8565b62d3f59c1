-- The version of each extension that CREATE EXTENSION makes here, and whether it asks for a superuser (a trusted
-- one, from 13 on, does not).
select a.name::text as name, coalesce(a.default_version, '') as version,
       coalesce(v.superuser, true) and not coalesce((to_jsonb(v) ->> 'trusted')::bool, false) as superuser
  from pg_available_extensions a
  left join pg_available_extension_versions v on v.name = a.name and v.version = a.default_version

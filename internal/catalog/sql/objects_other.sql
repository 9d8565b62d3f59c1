-- What is left: schemas, extensions, languages, casts, collations, text search, operator classes, foreign
-- servers, event triggers, default privileges.
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), space as (
  select oid, nspname, nspowner from pg_namespace n
   where nspname !~ '^pg_' and nspname not in ('information_schema', 'pgleap')
), named as (
  select 'pg_collation'::regclass as class, 'collation' as kind, c.oid, c.collnamespace as space, c.collname as name,
         concat_ws('; ', 'owner ' || pg_get_userbyid(c.collowner), 'provider ' || c.collprovider::text,
           'locale ' || coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate),
           case when to_jsonb(c) ->> 'collisdeterministic' = 'false' then 'not deterministic' end) as definition
    from pg_collation c
  union all select 'pg_conversion'::regclass, 'conversion', oid, connamespace, conname, concat_ws('; ', 'owner ' || pg_get_userbyid(conowner),
           pg_encoding_to_char(conforencoding), pg_encoding_to_char(contoencoding), case when condefault then 'default' end) from pg_conversion
  union all select 'pg_ts_config'::regclass, 'text search configuration', c.oid, c.cfgnamespace, c.cfgname, concat_ws('; ', 'owner ' || pg_get_userbyid(c.cfgowner),
           'parser ' || p.prsname, (select string_agg(m.maptokentype || ': ' || d.dictname, ', ' order by m.maptokentype, m.mapseqno)
             from pg_ts_config_map m join pg_ts_dict d on d.oid = m.mapdict where m.mapcfg = c.oid)) from pg_ts_config c join pg_ts_parser p on p.oid = c.cfgparser
  union all select 'pg_ts_dict'::regclass, 'text search dictionary', d.oid, d.dictnamespace, d.dictname, concat_ws('; ', 'owner ' || pg_get_userbyid(d.dictowner),
           'template ' || t.tmplname, d.dictinitoption) from pg_ts_dict d join pg_ts_template t on t.oid = d.dicttemplate
  union all select 'pg_ts_parser'::regclass, 'text search parser', oid, prsnamespace, prsname, '' from pg_ts_parser
  union all select 'pg_ts_template'::regclass, 'text search template', oid, tmplnamespace, tmplname, '' from pg_ts_template
  union all select 'pg_opclass'::regclass, 'operator class', o.oid, o.opcnamespace, o.opcname || ' using ' || a.amname, concat_ws('; ', 'owner ' || pg_get_userbyid(o.opcowner),
           'for ' || format_type(o.opcintype, null), case when o.opcdefault then 'default' end) from pg_opclass o join pg_am a on a.oid = o.opcmethod
  union all select 'pg_opfamily'::regclass, 'operator family', o.oid, o.opfnamespace, o.opfname || ' using ' || a.amname, 'owner ' || pg_get_userbyid(o.opfowner)
           from pg_opfamily o join pg_am a on a.oid = o.opfmethod
), global as (
  select 'pg_extension'::regclass as class, 'extension' as kind, oid, extname as name, '' as definition from pg_extension
  union all select 'pg_language'::regclass, 'language', oid, lanname, concat_ws('; ', 'owner ' || pg_get_userbyid(lanowner), case when lanpltrusted then 'trusted' end)
           from pg_language where lanispl
  union all select 'pg_am'::regclass, 'access method', oid, amname, amhandler::text from pg_am where oid >= 16384
  union all select 'pg_foreign_data_wrapper'::regclass, 'foreign data wrapper', oid, fdwname, concat_ws('; ', 'owner ' || pg_get_userbyid(fdwowner),
           'options ' || array_to_string(fdwoptions, ', ')) from pg_foreign_data_wrapper
  union all select 'pg_foreign_server'::regclass, 'foreign server', s.oid, s.srvname, concat_ws('; ', 'owner ' || pg_get_userbyid(s.srvowner),
           'wrapper ' || w.fdwname, 'type ' || s.srvtype, 'version ' || s.srvversion, 'options ' || array_to_string(s.srvoptions, ', '))
           from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
  -- The options may hold a password: of the others only a hash is ever compared or shown, and passwords are not
  -- carried over.
  union all select 'pg_user_mapping'::regclass, 'user mapping', u.umid, u.usename || ' on ' || u.srvname, 'options ' || md5(array_to_string(array(
           select o from unnest(u.umoptions) o where split_part(o, '=', 1) !~ '(password|passwd|pwd|passphrase)$|secret|token|credential|(api|access|account|private)_?key'), ', '))
           from pg_user_mappings u
  union all select 'pg_cast'::regclass, 'cast', c.oid, format_type(c.castsource, null) || ' as ' || format_type(c.casttarget, null),
           concat_ws('; ', 'context ' || c.castcontext::text, 'method ' || c.castmethod::text, 'function ' || p.proname)
           from pg_cast c left join pg_proc p on p.oid = c.castfunc where c.oid >= 16384
           -- A range's cast to its multirange comes with the range from 14 on.
           and not exists (select from pg_depend i where i.classid = 'pg_cast'::regclass and i.objid = c.oid and i.deptype = 'i')
  union all select 'pg_event_trigger'::regclass, 'event trigger', e.oid, e.evtname, concat_ws('; ', 'owner ' || pg_get_userbyid(e.evtowner), 'on ' || e.evtevent,
           'function ' || n.nspname || '.' || p.proname, 'tags ' || array_to_string(array(select unnest(e.evttags) order by 1), ', '),
           case e.evtenabled when 'D' then 'disabled' when 'A' then 'always' when 'R' then 'replica' end)
           from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid join pg_namespace n on n.oid = p.pronamespace where n.nspname <> 'pgleap'
)
select 'schema' as kind, s.nspname as schema, '' as name, '' as member, false as of_relation, 'owner ' || pg_get_userbyid(s.nspowner) as definition
  from space s where s.oid not in (select objid from member where classid = 'pg_namespace'::regclass)
union all
select o.kind, s.nspname, o.name, '', false, o.definition
  from named o join space s on s.oid = o.space
 where not exists (select from member m where m.classid = o.class and m.objid = o.oid)
union all
select g.kind, '', g.name, '', false, g.definition
  from global g
 where not exists (select from member m where m.classid = g.class and m.objid = g.oid)
union all
-- MAINTAIN is known from 17 on only; GRANT ALL gives it there and not before.
select 'default privileges', coalesce(s.nspname, ''),
       format('of %s on %s%s', pg_get_userbyid(d.defaclrole), case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
         when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else d.defaclobjtype::text end, coalesce(' in ' || s.nspname, '')),
       '', false,
       coalesce((select string_agg(format('%s to %s%s', lower(a.privilege_type), case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
                   case when a.is_grantable then ' with grant option' else '' end), ', ' order by a.grantee = 0, pg_get_userbyid(a.grantee), a.privilege_type)
          from aclexplode(d.defaclacl) a where a.privilege_type <> 'MAINTAIN' and a.grantee <> d.defaclrole), 'none')
  from pg_default_acl d left join space s on s.oid = d.defaclnamespace
 where d.defaclnamespace = 0 or s.oid is not null

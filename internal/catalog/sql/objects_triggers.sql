-- Triggers, rules, policies, extended statistics.
with relation as (
  select c.oid, c.relname, n.nspname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'f', 'm', 'v')
     and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
     and c.oid not in (select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e')
     and {{only}}
)
select 'trigger' as kind, r.nspname as schema, r.relname as name, t.tgname as member, true as of_relation,
       concat_ws('; ', pg_get_triggerdef(t.oid),
         case t.tgenabled when 'D' then 'disabled' when 'A' then 'always' when 'R' then 'replica' end) as definition
  from relation r
  -- A partition's copy of a trigger follows from the original: internal until 12, with a parent from 13 on.
  join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal and coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
   and t.tgname !~ '^zz_pgleap'
union all
-- The text of a rule is written differently by the majors, as that of a view is: its shape is compared.
select 'rule', r.nspname, r.relname, w.rulename, true,
       concat_ws('; ', case w.ev_type when '1' then 'select' when '2' then 'update' when '3' then 'insert' when '4' then 'delete' end,
         case when w.is_instead then 'instead' else 'also' end,
         case when w.ev_qual <> '<>' then 'with a condition' end,
         case w.ev_enabled when 'D' then 'disabled' when 'A' then 'always' when 'R' then 'replica' end)
  from relation r join pg_rewrite w on w.ev_class = r.oid and w.rulename <> '_RETURN'
union all
select 'policy', r.nspname, r.relname, p.polname, true,
       concat_ws('; ', case when p.polpermissive then 'permissive' else 'restrictive' end, 'for ' || p.polcmd::text,
         'to ' || (select string_agg(case g when 0 then 'public' else pg_get_userbyid(g) end, ', ' order by 1) from unnest(p.polroles) g),
         'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  from relation r join pg_policy p on p.polrelid = r.oid
union all
select 'statistics', r.nspname, r.relname, case when sn.nspname = r.nspname then '' else sn.nspname || '.' end || s.stxname, true,
       concat_ws('; ', pg_get_statisticsobjdef(s.oid), 'owner ' || pg_get_userbyid(s.stxowner),
         'target ' || nullif((to_jsonb(s) ->> 'stxstattarget')::int, -1))
  from relation r join pg_statistic_ext s on s.stxrelid = r.oid join pg_namespace sn on sn.oid = s.stxnamespace

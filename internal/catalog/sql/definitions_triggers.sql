-- Triggers and rules that are not in the state in which CREATE leaves them; and foreign keys whose own triggers
-- are disabled, which no dump carries. A partition's copy of a trigger follows from the original.
select 'trigger' as kind, n.nspname::text as schema, c.relname::text as relation, t.tgname::text as name, t.tgenabled::text as enabled
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and t.tgenabled <> 'O' and not t.tgisinternal and t.tgname !~ '^zz_pgleap'
   and coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
union all
select 'rule', n.nspname::text, c.relname::text, w.rulename::text, w.ev_enabled::text
  from pg_rewrite w
  join pg_class c on c.oid = w.ev_class
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and w.ev_enabled <> 'O'
union all
select distinct 'foreign key', n.nspname::text, c.relname::text, k.conname::text, 'D'
  from pg_trigger t
  join pg_constraint k on k.oid = t.tgconstraint and k.contype = 'f' and {{written}}
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
   and t.tgisinternal and t.tgenabled = 'D'
 order by 1, 2, 3, 4

-- Event triggers that are not made by an extension.
select e.evtname::text as name, e.evtevent::text as event, e.evtenabled::text as enabled, coalesce(e.evttags, '{}') as tags
  from pg_event_trigger e
 where not exists (select from pg_depend d where d.classid = 'pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e')
 order by e.evtname::text collate "C"

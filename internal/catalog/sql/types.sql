-- The types of all columns, with the types they are made of. Apply compares whole rows through the type's
-- equality: a default btree or hash operator class of its own, or of one it is binary-coercible to (varchar
-- is compared as text). Arrays, domains and composites are as good as what they hold.
with recursive used (oid) as (
    select distinct a.atttypid
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgleap')
       and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    union
    select p.part
      from used u
      join pg_type t on t.oid = u.oid
     cross join lateral (
       select t.typbasetype as part where t.typtype = 'd'
       union all select t.typelem where t.typtype <> 'd' and t.typelem <> 0 and t.typlen = -1
       union all select a.atttypid from pg_attribute a
                  where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) p
), comparable (oid) as (
    select o.opcintype
      from pg_opclass o
      join pg_am m on m.oid = o.opcmethod
     where m.amname in ('btree', 'hash') and o.opcdefault
)
select t.oid::int8 as oid,
       t.typtype in ('e', 'r', 'm')
         or t.oid in (select oid from comparable)
         or exists (select 1 from pg_cast k join comparable b on b.oid = k.casttarget
                     where k.castsource = t.oid and k.castmethod = 'b' and k.castcontext = 'i') as comparable,
       case when t.typtype = 'd' then array[t.typbasetype::int8]
            when t.typelem <> 0 and t.typlen = -1 then array[t.typelem::int8]
            when t.typtype = 'c' then array(select a.atttypid::int8 from pg_attribute a
                                             where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
       end as parts
  from used u
  join pg_type t on t.oid = u.oid

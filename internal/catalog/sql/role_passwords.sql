select rolname::text as name,
       case when rolpassword is null then 'none'
            when rolpassword ~ '^md5[0-9a-f]{32}$' then 'md5'
            when rolpassword like 'SCRAM-SHA-256$%' then 'scram'
            else 'unknown' end as kind
  from pg_authid

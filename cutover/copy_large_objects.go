package cutover

import (
	"fmt"
	"strconv"
	"strings"

	"pgleap/plan"
)

// pieceBytes is how much of a large object is read at a time where its pages cannot be.
const pieceBytes = 1 << 20

// LargeObjectTables are what copied large objects are remembered by: what is theirs, and until the switch is over
// their content. Only so abort can take away what was copied, and nothing else.
const LargeObjectTables = `create table pgleap.large_object (id oid primary key, owner text not null, acl aclitem[], comment text);
create unlogged table pgleap.large_object_piece (id oid, n int, data bytea not null, primary key (id, n)) with (toast_tuple_target = 8160);
alter table pgleap.large_object_piece alter column data set storage external`

// UnlinkStatement removes the large objects that were copied. Each takes a lock, of which the server has a limited
// number: a thousand in a transaction.
const UnlinkStatement = `do $pgleap$
declare
  ids oid[];
begin
  if to_regclass('pgleap.large_object') is null then
    return;
  end if;
  loop
    ids := array(select id from pgleap.large_object order by id limit 1000);
    exit when cardinality(ids) = 0;
    perform lo_unlink(oid) from pg_largeobject_metadata where oid = any (ids);
    delete from pgleap.large_object where id = any (ids);
    commit;
  end loop;
  truncate pgleap.large_object_piece;
end $pgleap$`

// lockLargeObjects keeps everybody off the large objects, where the source's role may: no trigger can fence them.
func lockLargeObjects(source plan.Facts) []string {
	if !source.Role.Superuser {
		return nil
	}
	return []string{"lock table only pg_catalog.pg_largeobject_metadata in share row exclusive mode", "lock table only pg_catalog.pg_largeobject in share row exclusive mode"}
}

const readHeads = `select oid, pg_get_userbyid(lomowner), lomacl, obj_description(oid, 'pg_largeobject') from pg_catalog.pg_largeobject_metadata`

// readPieces is the query that reads all large objects, and how many bytes lie between the beginnings of two pieces.
// A superuser reads their pages: lo_get takes the lock of a writer, for which it would wait behind our own. Others
// hold no such lock; they read piece after piece until one comes short.
func readPieces(source plan.Facts) (query string, size int) {
	if source.Role.Superuser {
		block, err := strconv.Atoi(source.Settings["block_size"])
		if err != nil {
			block = 8192
		}
		return "select loid as id, pageno as n, data from pg_catalog.pg_largeobject", block / 4 // LOBLKSIZE
	}
	return fmt.Sprintf(`with recursive piece as (
  select oid as id, 0 as n, lo_get(oid, 0::int8, %[1]d) as data from pg_catalog.pg_largeobject_metadata
  union all select id, n + 1, lo_get(id, (n + 1)::int8 * %[1]d, %[1]d) from piece where length(data) = %[1]d) select id, n, data from piece`, pieceBytes), pieceBytes
}

// LargeObjectDigests is the query by which the source's large objects are compared with those that were copied.
func LargeObjectDigests(source plan.Facts) string {
	query, _ := readPieces(source)
	return "select id::int8, n, md5(data) from (" + query + ") p"
}

// makeLargeObjects makes them of what was copied, with their numbers, owners, privileges and comments. Whole pages
// that follow each other are written together, which is several times as fast; a page that is short, or that follows
// a hole, is written by itself.
func makeLargeObjects(size int) string {
	return fmt.Sprintf(`do $pgleap$
declare
  ids oid[];
  last oid := 0;
  o record;
  g record;
begin
  loop
    ids := array(select id from pgleap.large_object where id > last order by id limit 1000);
    exit when cardinality(ids) = 0;
    perform lo_from_bytea(i, coalesce(data, '')) from unnest(ids) i left join pgleap.large_object_piece p on p.id = i and p.n = 0;
    perform lo_put(id, first * %[1]d::int8, data) from (select id, min(n) as first, string_agg(data, '' order by n) as data from pgleap.large_object_piece
      where n > 0 and id = any (ids) and length(data) = %[1]d group by id, n / %[2]d having count(*) = max(n) - min(n) + 1) whole;
    perform lo_put(p.id, p.n * %[1]d::int8, p.data) from pgleap.large_object_piece p join (select id, n / %[2]d as part from pgleap.large_object_piece
      where n > 0 and id = any (ids) and length(data) = %[1]d group by id, n / %[2]d having count(*) <> max(n) - min(n) + 1) holes on holes.id = p.id and holes.part = p.n / %[2]d
      where p.n > 0 and length(p.data) = %[1]d;
    perform lo_put(id, n * %[1]d::int8, data) from pgleap.large_object_piece where n > 0 and id = any (ids) and length(data) < %[1]d;
    for o in select * from pgleap.large_object where id = any (ids) loop
      if o.owner <> current_user then
        execute format('alter large object %%s owner to %%I', o.id, o.owner);
      end if;
      if o.acl is not null then
        execute format('revoke all on large object %%s from public, %%I', o.id, o.owner);
      end if;
      for g in select case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee, privilege_type, is_grantable from aclexplode(o.acl) loop
        execute format('grant %%s on large object %%s to %%s%%s', g.privilege_type, o.id, g.grantee, case when g.is_grantable then ' with grant option' else '' end);
      end loop;
      if o.comment is not null then
        execute format('comment on large object %%s is %%L', o.id, o.comment);
      end if;
    end loop;
    last := ids[cardinality(ids)];
    commit;
  end loop;
end $pgleap$`, size, max(pieceBytes/size, 1))
}

func copyLargeObjects(source, target plan.Facts) plan.Step {
	estimate := plan.LargeObjectsEstimate(source)
	pieces, size := readPieces(source)
	var statements []string
	if target.Role.Superuser { // or event triggers would see the owners and privileges being set
		statements = append(statements, "set session_replication_role = replica")
	}
	step := plan.Step{
		ID: StepLargeObjects, Title: "copy the large objects, with owners, privileges and comments", On: plan.Target,
		Why: "replication does not carry them",
		Do: plan.Action{Call: CallSwitch, SQL: joined(append(statements,
			"copy ("+readHeads+") to stdout", "copy pgleap.large_object from stdin",
			"copy ("+pieces+") to stdout", "copy pgleap.large_object_piece from stdin",
			makeLargeObjects(size),
		))},
		Batch: batchDrain, Weight: source.Definitions.LargeObjects.Bytes, Hazards: []plan.Hazard{plan.HazardLoad}, Estimate: &estimate,
		Lock:   "none: only a superuser may lock pg_largeobject. What is changed after the copy is told after the switch",
		Notice: "writers wait until it is done",
		ByHand: "-- in psql on the source, while the locks are held\n" +
			`\copy (` + readHeads + `) to 'pgleap-large-objects.txt'` + "\n" +
			`\copy (` + strings.Join(strings.Fields(pieces), " ") + `) to 'pgleap-large-object-pieces.txt'` + "\n" +
			"-- in psql on the target\n" +
			`\copy pgleap.large_object from 'pgleap-large-objects.txt'` + "\n" +
			`\copy pgleap.large_object_piece from 'pgleap-large-object-pieces.txt'` + "\n" + makeLargeObjects(size) + ";",
	}
	if source.Role.Superuser {
		step.Lock = "SHARE ROW EXCLUSIVE on pg_largeobject and pg_largeobject_metadata of the source, taken with the other locks"
		step.Notice = "writers wait until it is done, and who reads large objects too: PostgreSQL takes a writer's lock for it"
	}
	return step
}

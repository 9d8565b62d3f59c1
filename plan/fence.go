package plan

import (
	"fmt"
	"strings"
)

// FenceTrigger refuses writes on the server that is left: the name sorts behind the application's own triggers.
const FenceTrigger = "zz_pgleap_fence"

// The gate is a sequence, because one is read past every snapshot: a transaction that began long before the fence
// meets it all the same. Called it is closed. Setting it takes no lock on any table, however many there are.
const (
	CloseGate = "select setval('pgleap.gate', 1, true)"
	OpenGate  = "select setval('pgleap.gate', 1, false)"
)

// CallUnfence is the Call that drops the fence's triggers one table at a time, each waited for in short attempts so that
// an application can bear it, and then schema pgleap by DropSchema.
const (
	CallUnfence = "unfence"
	DropSchema  = "drop schema if exists pgleap cascade"
)

// FenceStands is an expression: is the gate closed, and is there a trigger that asks it? The triggers were made on
// all tables or on none, whatever was dropped by hand since.
const FenceStands = "pg_sequence_last_value(to_regclass('pgleap.gate')) is not null and exists (select from pg_trigger where tgname = '" + FenceTrigger + "' and not tgisinternal)"

// FenceProbe tells whether the fence stands, as a step's probe does.
const FenceProbe = "select case when " + FenceStands + " then 'done' else 'absent' end"

// MarkerDefinition creates the table of the rows that prove a drain. Its ids are not unique, on purpose: a marker that
// comes round, from the side that wrote it and back, must not stop apply there.
const MarkerDefinition = `create table pgleap.marker (id bigint not null, run text not null, at timestamptz not null default clock_timestamp());
create index marker_id on pgleap.marker (id)`

// Fence says how writers are stopped at the switch.
type Fence string

// FenceLock locks every table, and creates its trigger in the transaction that holds the locks: until the switch
// nothing of ours is on any table, and the stall grows with their number. FenceGuard makes the triggers
// beforehand: every writing transaction takes one shared advisory lock by them, and the fence takes that lock
// exclusively, once, however many tables there are. FenceAuto, which is also the empty text, chooses by their number.
const (
	FenceAuto  Fence = "auto"
	FenceLock  Fence = "lock"
	FenceGuard Fence = "guard"
)

// guardAbove is the number of fenced tables from which on FenceAuto takes the guard. On two cores 200 tables are
// locked and given their triggers in about 10 ms, 1,000 in 50 and 5,000 in 230; the guard takes 1 to 2 whatever
// their number, and costs each writing statement of production a little, from stage finish to finalize.
const guardAbove = 200

// Guarded tells whether the switch of the selection is fenced by the guard.
func (o Options) Guarded(s Selection) bool {
	return o.Fence == FenceGuard || o.Fence != FenceLock && len(s.Fenced()) > guardAbove
}

// The two halves of the guard's advisory lock: "pglp", like the run lock's, and a number of its own. The key is
// written into the fence's function on both servers, and never changes while a run is under way.
const guardClass, guardObject = 0x70676c70, 2

// TakeGuard is the fence of a guarded switch: it waits for every transaction that has written to a fenced table,
// and the next ones queue behind it, without an error.
var TakeGuard = fmt.Sprintf("select pg_advisory_xact_lock(%d, %d)", guardClass, guardObject)

// FenceTriggerOn returns the statement that makes the fence's trigger on a table. It is a trigger of statements,
// of roots and leaves alike: that of a root does not fire for a write to a leaf.
func FenceTriggerOn(table Name) string {
	return "create trigger " + FenceTrigger + " before insert or update or delete or truncate on " + table.String() +
		" for each statement execute procedure pgleap.fence()"
}

// Standing is a query: on how many tables is the fence's trigger, and enabled for everybody but replication?
const Standing = "select count(*) from pg_trigger where tgname = '" + FenceTrigger + "' and not tgisinternal and tgenabled in ('O', 'A')"

// Unguarded is a query: who holds a lock by which tables that bear the fence's trigger can be written, and does
// not wait for the guard? It is asked by the session that holds the guard. A table lock gives away what no trigger
// sees: a transaction that has switched the trigger off, writes as a replica, or is just about to meet it. One that
// waits for the guard writes nothing; that it did not before, without its trigger, is not sure of the lock that
// ALTER TABLE … DISABLE TRIGGER takes.
var Unguarded = fmt.Sprintf(`select distinct coalesce(l.pid, 0) from pg_locks l
where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())
  and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') and l.pid is distinct from pg_backend_pid()
  and exists (select from pg_trigger t where t.tgrelid = l.relation and t.tgname = '%s')
  and not (l.mode <> 'ShareRowExclusiveLock' and exists (select from pg_locks w where w.pid = l.pid and not w.granted and w.locktype = 'advisory'
    and w.classid = %d and w.objid = %d and w.objsubid = 2))`, FenceTrigger, guardClass, guardObject)

// FenceDefinition creates the gate and the function that asks it. The function belongs to us and runs as us: a
// writer need not be able to read the gate. It counts its refusals in a sequence, which keeps what a refused
// transaction does. First it takes the guard's lock, shared, to the end of the transaction: the gate that is read
// behind it cannot close before that end. Measured on two cores (PostgreSQL 15, one client that updates single rows by
// their key, each in a transaction of its own, fsync off): a statement takes 0.02 ms longer. A condition is all
// expression, where PERFORM would be a query of its own; the lock's function never returns null.
func FenceDefinition(movedTo string) string {
	return `create sequence pgleap.gate;
create sequence pgleap.refused;
create function pgleap.fence() returns trigger language plpgsql security definer as $pgleap$
begin
  if ` + fmt.Sprintf("pg_catalog.pg_advisory_xact_lock_shared(%d, %d)", guardClass, guardObject) + ` is null then
    return null;
  end if;
  if pg_catalog.pg_sequence_last_value('pgleap.gate'::pg_catalog.regclass) is null then
    return null;
  end if;
  perform pg_catalog.nextval('pgleap.refused'::pg_catalog.regclass);
  raise exception 'pgleap: this database has moved to ` + strings.ReplaceAll(strings.ReplaceAll(movedTo, "%", "%%"), "'", "''") + `: % on %.% is refused here', pg_catalog.lower(tg_op), tg_table_schema, tg_table_name
    using errcode = '25006', hint = 'connect to the new server';
end $pgleap$`
}

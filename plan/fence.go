package plan

import "strings"

// FenceTrigger refuses writes on the server that is left: the name sorts behind the application's own triggers.
const FenceTrigger = "zz_pgleap_fence"

// The gate is a sequence, because one is read past every snapshot: a transaction that began long before the fence
// meets it all the same. Called it is closed. Setting it takes no lock on any table, however many there are.
const (
	CloseGate = "select setval('pgleap.gate', 1, true)"
	OpenGate  = "select setval('pgleap.gate', 1, false)"
)

// FenceStands is an expression: is the gate closed, and is there a trigger that asks it? The triggers were made on
// all tables or on none, whatever was dropped by hand since.
const FenceStands = "pg_sequence_last_value(to_regclass('pgleap.gate')) is not null and exists (select from pg_trigger where tgname = '" + FenceTrigger + "' and not tgisinternal)"

// FenceProbe tells whether the fence stands, as a step's probe does.
const FenceProbe = "select case when " + FenceStands + " then 'done' else 'absent' end"

// FenceDefinition creates the gate and the function that asks it. The function belongs to us and runs as us: a
// writer need not be able to read the gate. It counts its refusals in a sequence, which keeps what a refused
// transaction does.
func FenceDefinition(movedTo string) string {
	return `create sequence pgleap.gate;
create sequence pgleap.refused;
create function pgleap.fence() returns trigger language plpgsql security definer as $pgleap$
begin
  if pg_catalog.pg_sequence_last_value('pgleap.gate'::pg_catalog.regclass) is null then
    return null;
  end if;
  perform pg_catalog.nextval('pgleap.refused'::pg_catalog.regclass);
  raise exception 'pgleap: this database has moved to ` + strings.ReplaceAll(strings.ReplaceAll(movedTo, "%", "%%"), "'", "''") + `: % on %.% is refused here', pg_catalog.lower(tg_op), tg_table_schema, tg_table_name
    using errcode = '25006', hint = 'connect to the new server';
end $pgleap$`
}

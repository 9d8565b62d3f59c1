// Package sync makes the publication, the slot and the subscription, follows the first copy and the lag, and
// takes it all down again. It shares its name with the standard library's: import it as pgsync, always.
package sync

import (
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Conninfo and TargetConninfo stand in the plan where the source's and the target's connection strings are put at the
// last moment.
const (
	Conninfo       = "{{source_conninfo}}"
	TargetConninfo = "{{target_conninfo}}"
)

// The Calls of this package.
const (
	CallSlot   = "create-slot"
	CallCopy   = "follow-copy"
	CallUnslot = "drop-slot"

	// CallFollow enables a subscription when the one of the other direction has ended: else each would send the other's
	// rows round again.
	CallFollow = "follow"
)

// SourceDefinition is what stands in schema pgleap on the source: the marker that proves the drain, and the
// function of the fence, which is not attached to anything before the switch.
func SourceDefinition(lanes []plan.Lane, targetSystemID, targetAddress string, repairs []plan.IdentityRepair) string {
	return `create schema pgleap;
comment on schema pgleap is ` + plan.QuoteLiteral(fmt.Sprintf("pgleap run=%s side=source other=%s", lanes[0].Run, targetSystemID)) + `;
` + plan.Marked(lanes).Definition() + `;
` + plan.FenceDefinition(targetAddress) + putBackDefinition(repairs)
}

// Publish returns the stage that makes the source keep its changes. All publications come before the first slot.
func Publish(lanes []plan.Lane, source, target plan.Facts, sel plan.Selection, o plan.Options) plan.Stage {
	repairs := plan.IdentityRepairs(source, sel, o)
	stage := plan.Stage{
		ID: plan.StagePublish, Title: "publication and slot: from here on the source keeps its changes for the target",
		Steps: []plan.Step{
			{
				ID: "publish.schema", Title: "create schema pgleap with the marker table and the fence's function", On: plan.Source,
				Why:    "a marker row that travels through the subscription proves at the switch that everything before it has arrived",
				Probe:  `select case when to_regnamespace('pgleap') is null then 'absent' when to_regclass('pgleap.marker') is not null and to_regclass('pgleap.gate') is not null and to_regproc('pgleap.fence') is not null then 'done' else 'schema pgleap is there, but not complete' end`,
				Do:     plan.Action{SQL: SourceDefinition(lanes, target.SystemID, target.Address+"/"+target.Database, repairs)},
				Undo:   plan.Action{Call: plan.CallUnfence, SQL: plan.DropSchema},
				Notice: "nothing: a schema of pgleap's own",
			},
		},
	}
	for _, l := range lanes {
		stage.Steps = append(stage.Steps, l.Steps(publication(l, source, o))...)
	}
	if o.Copy == plan.CopyStream { // the copy makes the slot, whose snapshot dies with it
		stage.Title = "publication"
	} else {
		for _, l := range lanes {
			stage.Steps = append(stage.Steps, l.Steps(slot(l, o))...)
		}
	}
	stage.Steps = slices.Insert(stage.Steps, 1, identitySteps(repairs)...)
	return stage
}

func publication(l plan.Lane, source plan.Facts, o plan.Options) plan.Step {
	name := plan.QuoteIdent(l.Object())
	return plan.Step{
		ID: "publish.publication", Title: fmt.Sprintf("create publication %s of %s", l.Object(), plan.Plural(l.Relations(), "table")), On: plan.Source,
		Why:    "before the slot: a table that joins a publication later can lose the rows of transactions that are open at that moment",
		Probe:  probePublication(l, o),
		Do:     plan.Action{SQL: createPublication(l, source.Version.Has(pgver.PublishTruncate), o)},
		Undo:   plan.Action{SQL: "drop publication if exists " + name},
		Lock:   publicationLock(o),
		Notice: "readers and writers go on; it waits for, and is waited for by, ALTER TABLE, VACUUM, ANALYZE and CREATE INDEX on the same table",
	}
}

func slot(l plan.Lane, o plan.Options) plan.Step {
	return plan.Step{
		ID: "publish.slot", Title: "create replication slot " + l.Object(), On: plan.Source,
		Why:     "waits for every open write transaction of the whole cluster; reading ones do not matter",
		Probe:   probeSlot(l.Run),
		Do:      plan.Action{Call: CallSlot, SQL: pg.CreateSlotStatement(l.Object())},
		Undo:    plan.Action{Call: CallUnslot, SQL: DropSlotStatement(l.Run)},
		ByHand:  slotByHand(l.Run, o.SlotTimeout),
		Trouble: slotTrouble,
		Hazards: []plan.Hazard{plan.HazardWaits, plan.HazardRetainsWAL},
		Lock:    "none; it waits for every write transaction that is open",
		Notice:  "from here on WAL stays on the source's disk until the target has it, and logical decoding takes one core at most",
	}
}

// afterRelease: production is on the target then.
const afterRelease = "nothing: the clients are on the new server"

// publicationLock: FOR ALL TABLES names none of them.
func publicationLock(o plan.Options) string {
	if o.AllTables {
		return "none on any table"
	}
	return "SHARE UPDATE EXCLUSIVE on every published table"
}

func createPublication(l plan.Lane, truncate bool, o plan.Options) string {
	name := plan.QuoteIdent(l.Object())
	publish := "insert, update, delete"
	if truncate {
		publish += ", truncate"
	}
	with := fmt.Sprintf(" with (publish = '%s')", publish)
	if o.AllTables {
		return "create publication " + name + " for all tables" + with
	}
	tables := []string{"  " + l.Marker()}
	for _, r := range l.Tables {
		tables = append(tables, "  only "+r.Name.String())
	}
	// Every child of an inheritance tree is named by itself.
	return "create publication " + name + " for table\n" + strings.Join(tables, ",\n") + "\n" + with
}

func probePublication(l plan.Lane, o plan.Options) string {
	count := fmt.Sprintf("when (select count(*) from pg_publication_tables where pubname = %[1]s) = %[2]d then 'done' else 'publication %[3]s has ' || (select count(*) from pg_publication_tables where pubname = %[1]s) || ' tables instead of %[2]d' end",
		plan.QuoteLiteral(l.Object()), l.Relations(), l.Object())
	if o.AllTables {
		count = "else 'done' end"
	}
	return "select case when not exists (select from pg_publication where pubname = " + plan.QuoteLiteral(l.Object()) + ") then 'absent' " + count
}

// A slot that never reached its consistent point has no confirmed_flush_lsn: its creator is still waiting, or
// was killed while it waited and the server has not noticed yet.
func probeSlot(run plan.RunID) string {
	n := plan.QuoteLiteral(run.Object())
	return `select coalesce((select case
  when database is distinct from current_database() then 'slot ` + run.Object() + ` belongs to database ' || coalesce(database, '(none: a physical slot)')
  when plugin <> 'pgoutput' then 'slot ` + run.Object() + ` has plugin ' || plugin
  when confirmed_flush_lsn is null then 'slot ` + run.Object() + ` is half made by pid ' || coalesce(active_pid::text, '(none)')
  else 'done' end from pg_replication_slots where slot_name = ` + n + `), 'absent')`
}

// DropSlotStatement drops the run's slot and the slots of unfinished first copies; nothing happens to a slot
// that is in use.
func DropSlotStatement(run plan.RunID) string {
	return `select slot_name, pg_drop_replication_slot(slot_name) from pg_replication_slots
where database = current_database() and not active and (slot_name = ` + plan.QuoteLiteral(run.Object()) + ` or ` + syncSlots(run) + `)`
}

// syncSlots is the condition that finds the slots of first copies to the other server:
// pg_<subscription>_sync_<table>_<system id>. Before 14 they are temporary, and go with their walsender. One that
// is in use is ours only if its walsender bears the run's name: another subscription of that cluster may be
// copying from this database too.
func syncSlots(run plan.RunID) string {
	return `slot_name like 'pg\_%\_sync\_%\_' || substring(obj_description(to_regnamespace('pgleap'), 'pg_namespace') from 'other=([0-9]+)')
  and (not active or exists (select from pg_stat_activity a where a.pid = active_pid and a.application_name = ` + plan.QuoteLiteral(run.Object()) + `))`
}

// streamed are the steps that copy the lane's rows by CallStream, make the keys that replication finds rows by, and then
// follow the changes.
func streamed(lane plan.Lane, target plan.Facts, keys []plan.Step) []plan.Step {
	run := lane.Run
	create := createSubscription(run, Conninfo, target.Version, "copy_data = false, synchronous_commit = 'off'")
	steps := subscribed(lane, target)
	subscription, enable, ready := steps[0], steps[1], steps[2]
	subscription.Why = "commits together with its record in the journal; from the slot's point on the changes arrive, and nothing is copied"
	subscription.Do.SQL, subscription.ByHand = create, subscriptionByHand(create)
	enable.Title, enable.Notice = "enable the subscription: what was written since the snapshot arrives", "a walsender that follows"
	ready.Title, ready.Notice, ready.Lock = "see that each table is followed", "nothing", ""
	return slices.Concat([]plan.Step{{
		ID: StepStream, Title: fmt.Sprintf("create replication slot %s, and copy %s in streams at its snapshot", run.Object(), plan.Plural(len(lane.Tables), "table")), On: plan.Source, Recorded: true,
		Why:     "the slot gives exactly what the snapshot that it exports does not show: rows are copied by many streams, without an index in the way, and then followed without a gap",
		Do:      plan.Action{Call: CallStream, SQL: pg.CreateExportingSlotStatement(run.Object())},
		Undo:    plan.Action{Call: CallUnslot, SQL: DropSlotStatement(run)},
		ByHand:  plan.NothingByHand("Streams at one snapshot cannot be typed. By hand the copy is PostgreSQL's own: pgleap plan --copy server"),
		Trouble: slotTrouble,
		Hazards: []plan.Hazard{plan.HazardWaits, plan.HazardRetainsWAL, plan.HazardLoad},
		Lock:    "ACCESS SHARE on each table of the source while its rows are read: ALTER TABLE, TRUNCATE and VACUUM FULL wait",
		Notice:  "every row is read once: load on disk, processor and network; one snapshot is held for as long as the whole copy takes, and VACUUM removes nothing newer; WAL stays on the source's disk",
	}}, keys, []plan.Step{subscription, enable, ready})
}

// subscribed are the steps that copy the lane's rows and then follow the changes.
func subscribed(lane plan.Lane, target plan.Facts) []plan.Step {
	run := lane.Run
	name := plan.QuoteIdent(run.Object())
	literal := plan.QuoteLiteral(run.Object())
	create := createSubscription(run, Conninfo, target.Version, "copy_data = true, synchronous_commit = 'off'")
	return []plan.Step{
		{
			ID: "subscribe.subscription", Title: "create subscription " + run.Object(), On: plan.Target, Recorded: true,
			Why:  "commits together with its record in the journal; the slot is there already, so the changes since then arrive too",
			Do:   plan.Action{SQL: create},
			Undo: plan.Action{SQL: DropSubscriptionStatement(run)}, ByHand: subscriptionByHand(create), Trouble: subscriptionTrouble,
			Notice: "one connection to the source, to read the publication",
		},
		{
			ID: StepEnable, Title: "enable the subscription: the first copy starts", On: plan.Target,
			Probe:   "select coalesce((select case when subenabled then 'done' else 'absent' end from pg_subscription where subname = " + literal + " and subdbid = (select oid from pg_database where datname = current_database())), 'subscription " + run.Object() + " is gone')",
			Do:      plan.Action{SQL: "alter subscription " + name + " enable"},
			Undo:    plan.Action{},
			Hazards: []plan.Hazard{plan.HazardLoad},
			Notice:  fmt.Sprintf("a walsender that follows, and one for each table that is being copied, %d at a time", plan.SyncWorkers(target)),
		},
		{
			ID: "subscribe.copy", Title: fmt.Sprintf("wait until each of the %d tables is ready", lane.Relations()), On: plan.Target,
			Why:     "one table that is still being copied is a table without its rows",
			Probe:   probeReady(lane),
			Do:      plan.Action{Call: CallCopy, SQL: StatesStatement + ";\n-- on the source, now and then, so that tables catch up where nobody writes:\n" + NudgeStatement(lane)},
			ByHand:  copyByHand(run),
			Trouble: copyTrouble,
			Hazards: []plan.Hazard{plan.HazardLoad},
			Lock:    "ACCESS SHARE on each table of the source while its rows are read: ALTER TABLE, TRUNCATE and VACUUM FULL wait",
			Notice:  "every row is read once: load on disk, processor and network; a snapshot is held for as long as the longest table takes, and VACUUM removes nothing newer",
		},
	}
}

// createSubscription creates the lane's subscription on a server of version v: not enabled, and with the slot that is
// or will be there.
func createSubscription(lane plan.RunID, conninfo string, v pgver.Version, with string) string {
	options := "create_slot = false, slot_name = " + plan.QuoteLiteral(lane.Object()) + ", enabled = false, " + with
	if v.Has(pgver.SubscriptionStreaming) {
		options += ", streaming = on"
	}
	if v.Has(pgver.SubscriptionOrigin) {
		// As the tables' owners, apply stops where an owner lacks a right that on the source it never needed
		// (USAGE on the schema, INSERT on its own table). The subscription's owner is who loaded the definitions: a
		// superuser, or a member of every owner, who has the privileges of all of them.
		options += ", run_as_owner = true"
	}
	name := plan.QuoteIdent(lane.Object())
	return "create subscription " + name + " connection '" + conninfo + "' publication " + name + "\n with (" + options + ")"
}

// StatesStatement counts the tables of the run by the state of their first copy.
const StatesStatement = `select srsubstate::text, count(*) from pg_subscription_rel group by 1`

func probeReady(lane plan.Lane) string {
	return fmt.Sprintf(`select case when count(*) filter (where srsubstate = 'r') = %d then 'done' when count(*) > %[1]d then 'the subscription has ' || count(*) || ' tables instead of %[1]d' else 'absent' end
from pg_subscription_rel where srsubid = (select oid from pg_subscription where subname = %s and subdbid = (select oid from pg_database where datname = current_database()))`,
		lane.Relations(), plan.QuoteLiteral(lane.Object()))
}

// Durable returns the step that makes apply commit synchronously: what the target then shows is on its disk,
// and the source hears of it in milliseconds instead of after the WAL writer's delay. It belongs right before the switch:
// apply is four to five times slower from then on (2 processors, 1 lane, 13 → 17).
func Durable(run plan.RunID) plan.Step {
	return plan.Step{
		ID: durablePrefix, Title: "let apply commit synchronously from now on", On: plan.Target,
		Why:    "what the switch relies on must be on disk; asynchronous apply confirms 200 ms late. Not earlier, because it is several times slower; taken back when the switch is not made",
		Probe:  "select coalesce((select case subsynccommit when 'on' then 'done' else 'absent' end from pg_subscription where subname = " + plan.QuoteLiteral(run.Object()) + " and subdbid = (select oid from pg_database where datname = current_database())), 'subscription " + run.Object() + " is gone')",
		Do:     plan.Action{SQL: "alter subscription " + plan.QuoteIdent(run.Object()) + " set (synchronous_commit = 'on')"},
		Notice: "nothing",
	}
}

const durablePrefix = "switch.durable"

// IsDurable tells the steps of Durable from others.
func IsDurable(s plan.Step) bool { return strings.HasPrefix(string(s.ID), durablePrefix) }

// RelaxStatement takes Durable back.
func RelaxStatement(run plan.RunID) string {
	return "alter subscription " + plan.QuoteIdent(run.Object()) + " set (synchronous_commit = 'off')"
}

// DropSubscriptionStatement drops the subscription without a word to the source, which may be away: the slot
// is dropped by a step of its own.
func DropSubscriptionStatement(run plan.RunID) string {
	n := plan.QuoteIdent(run.Object())
	return `do $pgleap$ begin
  if exists (select from pg_subscription where subname = ` + plan.QuoteLiteral(run.Object()) + ` and subdbid = (select oid from pg_database where datname = current_database())) then
    alter subscription ` + n + ` disable;
    alter subscription ` + n + ` set (slot_name = none);
    drop subscription ` + n + `;
  end if;
end $pgleap$`
}

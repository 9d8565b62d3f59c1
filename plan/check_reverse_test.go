package plan

import "testing"

// unprivileged takes superuser from the role that connects.
func unprivileged(f *Facts) {
	f.Role = Role{Name: "up", Replication: true, CreateOnDatabase: true, CreateSubscription: true}
}

// holds gives the first table a column of the type.
func holds(f *Facts, typeName string) {
	f.Definitions.TypeUses = append(f.Definitions.TypeUses, TypeUse{Type: typeName, Table: Name{"public", "a"}, Column: "V"})
}

var reverseCases = map[string][]checkCase{
	"reverse-ready": {
		{"wal level", func(_, t *Facts, _ *Options) { t.Settings["wal_level"] = "replica" }, Warning, "wal_level of the target is replica", "alter system set wal_level = logical;"},
		{"wal level of a service", func(_, t *Facts, _ *Options) { t.Settings["wal_level"], t.Roles = "replica", []string{"rdsadmin"} }, Warning, "wal_level of the target", "rds.logical_replication…"},
		{"slots", func(_, t *Facts, _ *Options) { t.SlotsUsed = 9 }, Warning, "9 of 10 replication slots of the target are in use, and the way back needs 2\nTHERE IS NO WAY BACK", "alter system set max_replication_slots = 13;"},
		{"walsenders", func(_, t *Facts, _ *Options) { t.SendersUsed = 9 }, Warning, "9 of 10 walsenders of the target", "alter system set max_wal_senders = 13;"},
		{"slots, one of them its own", func(s, t *Facts, _ *Options) {
			own(s, t)
			t.SlotsUsed, t.Leftovers = 9, append(t.Leftovers, Leftover{Kind: "slot", Own: true})
		}, "", "", ""},
		{"no replication", func(_, t *Facts, _ *Options) { unprivileged(t); t.Role.Replication = false }, Warning, "role up has no REPLICATION on the target", "alter role up replication;"},
		{"workers", func(s, _ *Facts, _ *Options) { s.WorkersUsed = 4 }, Warning, "4 of 4 logical replication workers of the source", "alter system set max_logical_replication_workers = 6;"},
		{"worker processes", func(s, _ *Facts, _ *Options) { s.Settings["max_worker_processes"] = "1" }, Warning, "1 of 1 background workers of the source", "alter system set max_worker_processes = 3;"},
		{"origins of 13", func(s, _ *Facts, _ *Options) { s.OriginsUsed = 10 }, Warning, "10 of 10 replication origins of the source", "alter system set max_replication_slots = 12;"},
		{"its own worker", func(s, _ *Facts, _ *Options) {
			s.WorkersUsed, s.OriginsUsed, s.Leftovers = 4, 10, []Leftover{{Kind: "subscription", Own: true}}
		}, "", "", ""},
		{"no superuser before 16", func(s, _ *Facts, _ *Options) { unprivileged(s); s.Role.CreateSubscription = false }, Warning, "in PostgreSQL 13 only one may make a subscription", "alter role up superuser;"},
		{"no subscriber on 16", func(s, _ *Facts, _ *Options) {
			unprivileged(s)
			s.Role.CreateSubscription, s.Version = false, version(16)
		}, Warning, "may not make a subscription on the source", "grant pg_create_subscription to up;"},
		{"not reached", func(s, _ *Facts, _ *Options) {
			s.ReachesTarget = &Reach{Tried: true, Code: "08006", Error: "connection refused"}
		}, Warning, "as the subscription of the way back will: connection refused", "--target-from-source…"},
		{"no password", func(s, _ *Facts, _ *Options) { s.ReachesTarget = &Reach{Tried: true, Code: "2F003"} }, Warning, "does not ask the source for a password", "scram-sha-256, not trust…"},
		{"not tried", func(s, _ *Facts, _ *Options) { s.ReachesTarget = &Reach{Error: "a standby"} }, Warning, "could not be tried: a standby", ""},
		{"always triggers", func(s, _ *Facts, _ *Options) {
			s.Definitions.Switched = []SwitchedTrigger{{"trigger", Name{"public", "a"}, "Note", "A"}}
		}, Warning, `trigger "Note" of public.a is ENABLE ALWAYS`, `alter table public.a enable trigger "Note";`},
		{"rules do not act", func(s, _ *Facts, _ *Options) {
			s.Definitions.Switched = []SwitchedTrigger{{"rule", Name{"public", "a"}, "note", "A"}}
		}, "", "", ""},
		{"copied in the switch", func(s, _ *Facts, o *Options) {
			s.Relations[0].Persistence, s.LargeObjects, o.CopyInSwitch = "u", 3, true
		}, Warning, "nothing carries back: public.a, 3 large objects", "--copy-in-switch…"},
		{"to be copied, if any", func(_, _ *Facts, o *Options) { o.CopyInSwitch = true }, Warning, "nothing carries back\nTHERE IS NO WAY BACK", "--copy-in-switch…"},
		{"unlogged", func(s, _ *Facts, _ *Options) { s.Relations[0].Persistence = "u" }, Info, "does not come back with pgleap rollback: public.a", ""},
		{"slow on 13", func(s, _ *Facts, _ *Options) { s.Relations[0].Identity, s.Relations[0].PrimaryKey = "f", "" }, Info, "reads the whole table there", ""},
		{"not so on 16", func(s, _ *Facts, _ *Options) {
			s.Version, s.Relations[0].Identity, s.Relations[0].PrimaryKey = version(16), "f", ""
		}, "", "", ""},
		{"little WAL", func(_, t *Facts, _ *Options) { t.Settings["max_slot_wal_keep_size"] = "64" }, Info, "of the target is 64 MB", "alter system set max_slot_wal_keep_size = '11GB'; select pg_reload_conf();"},
		{"not wanted", func(_, t *Facts, o *Options) { t.Settings["wal_level"], o.NoWayBack = "replica", true }, Info, "--no-way-back: after the switch", "leave --no-way-back out…"},
		{"swapped", func(s, t *Facts, _ *Options) {
			s.Version, t.Version, t.Settings["wal_level"] = version(18), version(13), "replica"
		}, "", "", ""},
	},
	"reverse-values": {
		{"numeric", func(s, _ *Facts, _ *Options) { holds(s, "numeric") }, Info, `Infinity and -Infinity. They can stand in public.a."V"`, ""},
		{"numeric from 14 on", func(s, _ *Facts, _ *Options) { s.Version = version(14); holds(s, "numeric") }, "", "", ""},
		{"interval", func(s, _ *Facts, _ *Options) { s.Version = version(16); holds(s, "interval") }, Info, "PostgreSQL 18 knows values of interval that 16 does not", ""},
		{"interval into 16", func(s, t *Facts, _ *Options) { t.Version = version(16); holds(s, "interval") }, "", "", ""},
		{"jsonpath of 12", func(s, t *Facts, _ *Options) { s.Version, t.Version = version(12), version(13); holds(s, "jsonpath") }, Info, "the method datetime()", ""},
		{"jsonpath of 17", func(s, _ *Facts, _ *Options) { holds(s, "jsonpath") }, Info, "bigint()", ""},
		{"char", func(s, _ *Facts, _ *Options) { holds(s, `"char"`) }, Info, "says nothing", ""},
		{"not published", func(s, _ *Facts, _ *Options) { s.Relations[0].Persistence = "u"; holds(s, "numeric") }, "", "", ""},
		{"enum", func(s, _ *Facts, _ *Options) {
			s.Definitions.TypeUses = []TypeUse{{Type: "mood", Enum: true, Table: Name{"public", "a"}, Column: "m"}}
		}, Info, "a label that is added to an enum on the new server", ""},
		{"partitions", func(s, _ *Facts, _ *Options) {
			s.Relations = append(s.Relations, Relation{Name: Name{"public", "root"}, Kind: "p", Persistence: "p"})
		}, Info, "a partition that is made on the new server", ""},
		{"truncate to 10", func(s, _ *Facts, _ *Options) { s.Version = version(10) }, Warning, "PostgreSQL 10 does not take TRUNCATE", ""},
		{"encoding", func(s, _ *Facts, _ *Options) { s.Encoding = "LATIN1" }, Warning, "has no place in LATIN1", ""},
		{"no way back", func(s, _ *Facts, o *Options) { o.NoWayBack = true; holds(s, "numeric") }, "", "", ""},
	},
}

// TestWayBackIsTheCheck: what stands in the way, and only that, leaves the way back out of the plan.
func TestWayBackIsTheCheck(t *testing.T) {
	s, target := healthy()
	s.Relations[0].Persistence = "u" // an info
	if found := WayBack(s, target, Options{}); len(found) > 0 {
		t.Errorf("said %+v; want nothing", found)
	}
	target.Settings["wal_level"] = "replica"
	found := WayBack(s, target, Options{Accept: []string{"reverse-ready"}})
	if len(found) != 1 || found[0].Check != "reverse-ready" || found[0].Severity != Warning || !found[0].Accepted || found[0].Fix == "" {
		t.Errorf("said %+v", found)
	}
}

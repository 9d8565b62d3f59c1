package plan

var serverCases = map[string][]checkCase{
	"direction": {
		{"swapped", func(s, t *Facts, _ *Options) { s.Version, t.Version = 180001, 130023 }, Blocker, "the source is 18.1 and the target 13.23: are --source and --target swapped?", ""},
		{"equal", func(_, t *Facts, _ *Options) { t.Version = 130023 }, Blocker, "both PostgreSQL 13", "--same-major…"},
		{"equal on request", func(_, t *Facts, o *Options) { t.Version, o.SameMajor = 130023, true }, "", "", ""},
		{"too old", func(s, _ *Facts, _ *Options) { s.Version = 90624 }, Blocker, "logical replication came with PostgreSQL 10", ""},
		{"too new", func(_, t *Facts, _ *Options) { t.Version = version(19) }, Warning, "tested up to PostgreSQL 18", ""},
		{"empty source", func(s, t *Facts, _ *Options) { s.Relations, t.UserObjects = nil, []string{"table public.a"} }, Blocker, "the source has no tables", ""},
		{"both empty", func(s, _ *Facts, _ *Options) { s.Relations = nil }, "", "", ""},
	},
	"same-cluster": {
		{"one server", func(_, t *Facts, _ *Options) { t.SystemID = "1" }, Blocker, "the same server", ""},
		{"one address", func(_, t *Facts, _ *Options) { t.SystemID, t.Address = "", "old:5432" }, Blocker, "the same address old:5432", ""},
		{"unknown", func(s, t *Facts, _ *Options) { s.SystemID, t.SystemID = "", "" }, "", "", ""},
	},
	"recovery": {
		{"source", func(s, _ *Facts, _ *Options) { s.Recovery = true }, Blocker, "the source old:5432 is a standby", "primary as --source…"},
		{"target", func(_, t *Facts, _ *Options) { t.Recovery = true }, Blocker, "the target new:5432 is a standby", "primary as --target…"},
	},
	"wal-level": {
		{"replica", func(s, _ *Facts, _ *Options) { s.Settings["wal_level"] = "replica" }, Blocker, "wal_level is replica", "alter system set wal_level = logical;"},
		{"rds", func(s, _ *Facts, _ *Options) { s.Settings["wal_level"], s.Roles = "replica", []string{"rdsadmin"} }, Blocker, "wal_level is replica", "rds.logical_replication…"},
		{"cloud sql", func(s, _ *Facts, _ *Options) { s.Settings["wal_level"], s.Roles = "replica", []string{"cloudsqladmin"} }, Blocker, "wal_level", "cloudsql.logical_decoding…"},
		{"azure", func(s, _ *Facts, _ *Options) { s.Settings["wal_level"], s.Roles = "replica", []string{"azuresu"} }, Blocker, "wal_level", "server parameter…"},
		{"on the target it does not matter", func(_, t *Facts, _ *Options) { t.Settings["wal_level"] = "replica" }, "", "", ""},
	},
	"slot-headroom": {
		{"slots", func(s, _ *Facts, _ *Options) { s.SlotsUsed = 8 }, Blocker, "8 of 10 replication slots are in use, and the upgrade needs 3", "alter system set max_replication_slots = 13;"},
		{"senders", func(s, _ *Facts, _ *Options) { s.SendersUsed = 8 }, Blocker, "8 of 10 walsenders are in use, and the upgrade needs 3", "alter system set max_wal_senders = 13;"},
		{"just enough", func(s, _ *Facts, _ *Options) { s.SlotsUsed, s.SendersUsed = 7, 7 }, "", "", ""},
		{"one table needs less", func(s, _ *Facts, _ *Options) { s.SlotsUsed, s.Relations = 8, s.Relations[:1] }, "", "", ""},
		{"more at once", func(_, t *Facts, _ *Options) { t.Settings["max_sync_workers_per_subscription"] = "9" }, "", "", ""},
		{"lanes", func(s, _ *Facts, o *Options) { s.SlotsUsed, s.ForeignKeys, o.Lanes = 7, nil, 2 }, Blocker, "7 of 10 replication slots are in use, and the upgrade needs 4", "alter system set max_replication_slots = 13;"},
		{"resumed", func(s, t *Facts, _ *Options) { s.SlotsUsed = 10; own(s, t) }, "", "", ""},
	},
	"worker-headroom": {
		{"logical workers", func(_, t *Facts, _ *Options) { t.WorkersUsed = 2 }, Blocker, "2 of 4 logical replication workers", "alter system set max_logical_replication_workers = 7;"},
		{"worker processes", func(_, t *Facts, _ *Options) { t.Settings["max_worker_processes"] = "3" }, Blocker, "1 of 3 background workers", "alter system set max_worker_processes = 6;"},
		{"no sync workers", func(_, t *Facts, _ *Options) { t.Settings["max_sync_workers_per_subscription"] = "0" }, Blocker, "no table would ever be copied", "alter system set max_sync_workers_per_subscription = 2; select pg_reload_conf();"},
		{"origins of 18", func(_, t *Facts, _ *Options) { t.Settings["max_active_replication_origins"] = "0" }, Blocker, "0 of 0 replication origins", "alter system set max_active_replication_origins = 5;"},
		{"origins of 17", func(_, t *Facts, _ *Options) { t.Version, t.Settings["max_replication_slots"] = version(17), "2" }, Blocker, "0 of 2 replication origins", "alter system set max_replication_slots = 5;"},
		{"slots of 18 are not origins", func(_, t *Facts, _ *Options) { t.Settings["max_replication_slots"] = "0" }, "", "", ""},
		{"lanes", func(s, t *Facts, o *Options) { t.WorkersUsed, s.ForeignKeys, o.Lanes = 2, nil, 2 }, Blocker, "and the upgrade needs 3", "alter system set max_logical_replication_workers = 7;"},
		{"resumed", func(s, t *Facts, _ *Options) { t.WorkersUsed = 4; own(s, t) }, "", "", ""},
	},
	"lanes": {
		{"one", func(_, _ *Facts, o *Options) { o.Lanes = 1 }, "", "", ""},
		{"two", func(s, _ *Facts, o *Options) { o.Lanes, s.ForeignKeys = 2, nil }, Info, "followed on 2 lanes, each with a slot and an apply worker of its own: 1: 2 tables", ""},
		{"more than tables", func(s, _ *Facts, o *Options) { o.Lanes, s.ForeignKeys = 9, nil }, Info, "3 lanes of 9 that were asked for", ""},
		{"torn", func(s, _ *Facts, o *Options) {
			o.Lanes, s.ForeignKeys = 2, []ForeignKey{{Name: "k", From: s.Relations[0].Name, To: s.Relations[1].Name}, {Name: "l", From: s.Relations[2].Name, To: s.Relations[1].Name}}
		}, Warning, "a TRUNCATE of two tables that a key ties STOPS the lanes", "let nobody truncate…"},
		{"much is written", func(s, _ *Facts, _ *Options) {
			s.ForeignKeys, s.Cluster.WALBytesPerSecond, s.Cluster.WALBasis = nil, 2*laneWAL, "since the statistics began"
		}, Info, "the source writes 64 MB of WAL a second (since the statistics began)", ""},
		{"resumed", func(s, t *Facts, o *Options) { o.Lanes = 2; own(s, t) }, "", "", ""},
	},
	"target-reaches-source": {
		{"refused", func(_, t *Facts, _ *Options) { t.ReachesSource = &Reach{Tried: true, Error: "connection refused"} }, Blocker, "connection refused", "--source-from-target…"},
		{"not asked for a password", func(_, t *Facts, _ *Options) {
			t.ReachesSource = &Reach{Tried: true, Code: "2F003", Error: "password is required"}
		}, Blocker, "password is required", "scram-sha-256, not trust…"},
		{"not tried", func(_, t *Facts, _ *Options) { t.ReachesSource = &Reach{Error: "no dblink"} }, Warning, "could not be tried\nno dblink", ""},
		{"not yet", func(_, t *Facts, _ *Options) { t.ReachesSource = nil }, "", "", ""},
	},
	"pg-dump": {
		{"none", func(s, _ *Facts, _ *Options) { s.PgDump = &PgDump{Error: "not found in PATH"} }, Blocker, "not found in PATH", "client programs of PostgreSQL 18…"},
		{"older than the source", func(s, _ *Facts, _ *Options) {
			s.PgDump = &PgDump{Command: "/usr/bin/pg_dump", Major: 12, Version: "12.22"}
		}, Blocker, "/usr/bin/pg_dump is version 12.22", ""},
		{"older than the target", func(s, _ *Facts, _ *Options) { s.PgDump = &PgDump{Command: "pg_dump", Major: 13} }, "", "", ""},
		{"not looked for", func(s, _ *Facts, _ *Options) { s.PgDump = nil }, "", "", ""},
	},
	"target-empty": {
		{"a table", func(_, t *Facts, _ *Options) { t.UserObjects = []string{"table public.old"} }, Blocker, "table public.old is on the target already", ""},
		{"resumed", func(s, t *Facts, _ *Options) { t.UserObjects = []string{"table public.a"}; own(s, t) }, "", "", ""},
	},
	"target-read-only": {
		{"read only", func(_, t *Facts, _ *Options) { t.ReadOnly = true }, Warning, "default_transaction_read_only is on", "alter database shop reset default_transaction_read_only;"},
		{"our guard", func(s, t *Facts, _ *Options) { t.ReadOnly = true; own(s, t) }, "", "", ""},
	},
	"leftovers": {
		{"slot of a run", func(s, _ *Facts, _ *Options) {
			s.Leftovers = []Leftover{{Kind: "slot", Name: "pgleap_old", Run: "old", Drop: "drop it;"}}
		}, Blocker, "slot pgleap_old is left of run old", "drop it;"},
		{"how to go on", func(s, _ *Facts, _ *Options) {
			s.Leftovers = []Leftover{{Kind: "slot", Name: "pgleap_old", Run: "old"}}
		}, Blocker, "keeps the server's WAL", "pgleap abort --run old…"},
		{"fence", func(s, _ *Facts, _ *Options) {
			s.Leftovers = []Leftover{{Kind: "trigger", Name: "public.a", Drop: "drop it;"}}
		}, Blocker, "trigger public.a is left of an earlier run\nit REFUSES EVERY WRITE", "drop it;"},
		{"on the target", func(_, t *Facts, _ *Options) {
			t.Leftovers = []Leftover{{Kind: "subscription", Name: "pgleap_old", Drop: "drop it;"}}
		}, Blocker, "subscription pgleap_old", "drop it;"},
		{"our own", func(s, t *Facts, _ *Options) { own(s, t) }, "", "", ""},
	},
	"locks": {
		{"too few", func(s, _ *Facts, _ *Options) {
			s.Settings["max_locks_per_transaction"], s.Settings["max_connections"] = "10", "1"
			many(s, 5)
		}, Blocker, "the fence locks 5 tables", "alter system set max_locks_per_transaction = 12;"},
		{"enough", func(s, _ *Facts, _ *Options) { many(s, 2000) }, "", "", ""},
		{"prepared transactions have room too", func(s, _ *Facts, _ *Options) { s.Settings["max_prepared_transactions"] = "100"; many(s, 4000) }, "", "", ""},
	},
	"prepared-transactions": {
		{"one", func(s, _ *Facts, _ *Options) { s.Prepared = []PreparedTx{{"x'1", "bob", "other", 7200}} }, Blocker, "transaction x'1 of bob in database other has been prepared for 2 h", "commit prepared 'x''1'; -- or rollback prepared 'x''1';"},
		{"on the target it does not matter", func(_, t *Facts, _ *Options) { t.Prepared = []PreparedTx{{GID: "x"}} }, "", "", ""},
	},
	"long-transactions": {
		{"writes", func(s, _ *Facts, _ *Options) {
			s.Transactions = []Transaction{{4711, "app_rw", "other", "batch", "idle in transaction", 840, true, "update\n  t set x = 1"}}
		}, Warning, "pid 4711 of app_rw (batch) in database other is in a transaction for 14 min, idle in transaction\nthe slot's creation waits until it ends; last statement: update t set x = 1", "select pg_terminate_backend(4711);"},
		{"reads", func(s, _ *Facts, _ *Options) { s.Transactions = []Transaction{{PID: 1, Seconds: 600}} }, Warning, "it has not written", "select pg_terminate_backend(1);"},
		{"a role that cannot see", func(s, _ *Facts, _ *Options) { s.Role.SeesSessions = false }, Info, "role postgres does not see", "grant pg_read_all_stats to postgres;"},
	},
}

// many gives the source n tables.
func many(s *Facts, n int) {
	table := s.Relations[0]
	s.Relations = nil
	for i := range n {
		table.Name.Name = "t" + thousands(int64(i))
		s.Relations = append(s.Relations, table)
	}
}

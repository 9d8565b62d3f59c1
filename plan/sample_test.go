package plan

import (
	"strings"
	"time"

	"pgleap/internal/pgver"
)

// samplePlan uses every feature of a plan, and names that are not harmless.
func samplePlan() Plan {
	return Plan{
		Format: Format, Tool: "pgleap 0.1.0", Run: "shop",
		Source:   sampleSource(),
		Target:   Facts{Side: Target, Version: pgver.Version(180004), SystemID: "7301", Database: "shop", Address: "new:5432", Encoding: "UTF8"},
		Options:  Options{SequenceMargin: 100, MaxWriteStall: 5 * time.Second, SlotTimeout: time.Minute, Jobs: 2},
		Findings: sampleFindings(),
		Stages:   sampleStages(),
		Totals: &Totals{
			Tables: 1, Bytes: 212 << 30, Indexes: 2, Copy: Estimate{2400, "212 GB in 1 table at 91 MB/s, measured on public.orders"}, Index: Estimate{620, "2 indexes"},
			Analyze: Estimate{3, "1 table"}, Stall: Estimate{0.03, "1 table to lock and fence"}, RetainedWAL: 12 << 30, WALLimit: 10 << 30, WALBasis: "40 min of copy at 5.1 MB/s of WAL",
		},
	}
}

func sampleSource() Facts {
	orders := Name{"public", "orders"}
	return Facts{
		Side: Source, Version: pgver.Version(130023), SystemID: "7300", Database: "shop", Address: "old:5432", User: "app_rw", Encoding: "UTF8",
		Settings: map[string]string{"wal_level": "logical", "max_wal_senders": "10"},
		Schemas:  []string{"public", "Odd \"one\""},
		Relations: []Relation{
			{
				Name: orders, OID: 16400, Kind: "r", Persistence: "p", Owner: "app_rw", Identity: "d", IdentityUsable: true,
				Columns: []Column{{Name: "id", Type: "bigint", NotNull: true, Identity: "a"}, {Name: "note", Type: "text"}},
				Rows:    1000, Bytes: 212 << 30, IndexBytes: 1 << 30,
			},
			{Name: Name{"public", "cache"}, Kind: "r", Persistence: "u", Owner: "app_rw", Columns: []Column{{Name: "k", Type: "text"}}},
			{Name: Name{"Odd \"one\"", "a`b\n|c"}, Kind: "p", Persistence: "p", Owner: "app_rw"},
		},
		Sequences:   []Sequence{{Name: Name{"public", "orders_id_seq"}, Type: "bigint", Start: 1, Increment: 1, Min: 1, Max: 1 << 62, Cache: 1, OwnedBy: &orders}},
		ForeignKeys: []ForeignKey{{Name: "lines_order_fk", From: Name{"public", "lines"}, To: orders}},
		Extensions:  []Extension{{Name: "citext", Version: "1.6", Schema: "public"}},
		Roles:       []string{"app_rw", "other"},
		RolesUsed:   []string{"app_rw"},
		PgDump:      &PgDump{Command: "pg_dump", Major: 18},
	}
}

func sampleFindings() []Finding {
	return []Finding{
		{Check: "unlogged-tables", Severity: Warning, On: Source, Object: "public.cache", Problem: "public.cache is unlogged: its rows are not copied"},
		{
			Check: "replica-identity", Severity: Blocker, On: Source, Object: "public.audit_log",
			Problem: "public.audit_log has no primary key and no replica identity\nwith a publication its UPDATEs and DELETEs would FAIL on the source",
			SQL:     "alter table public.audit_log replica identity using index audit_log_uk;",
			Fix:     "pgleap sync --set-replica-identity does it, and puts it back",
		},
	}
}

func sampleStages() []Stage {
	return []Stage{
		{ID: StagePublish, Title: "Publish the tables", Steps: []Step{
			{
				ID: "sync.publication", Title: "Create the publication", Why: "the subscription reads from it", On: Source,
				Probe: "select case when exists (select from pg_publication where pubname = 'pgleap_shop') then 'done' else 'absent' end",
				Do:    Action{SQL: "create publication pgleap_shop for table\n    public.orders;"},
				Undo:  Action{SQL: "drop publication pgleap_shop;"},
				Lock:  "SHARE UPDATE EXCLUSIVE on every published table", Notice: "readers and writers go on",
			},
			{
				ID: "sync.slot", Title: "Create the slot", On: Source, Hazards: []Hazard{HazardWaits, HazardRetainsWAL},
				Do:     Action{Call: "sync.slot", SQL: "CREATE_REPLICATION_SLOT pgleap_shop LOGICAL pgoutput"},
				Undo:   Action{Call: "sync.drop-slot"},
				ByHand: Script(Typed{TerminalOld, "waits", "select pg_create_logical_replication_slot('pgleap_shop', 'pgoutput');"}),
				Lock:   "none", Notice: "WAL is kept", Estimate: &Estimate{2.5, "nobody | knows"}, Trouble: "somebody is in the way",
			},
			{ID: "sync.journal", Title: "Write it down", On: Target, Do: Action{Call: "sync.journal"}, ByHand: NothingByHand("pgleap alone reads it")},
			{
				ID: "sync.subscription", Title: "Subscribe", On: Target, Recorded: true,
				Do: Action{SQL: "create subscription pgleap_shop connection {{source_conninfo}} publication pgleap_shop with (create_slot = false);"},
			},
		}},
		{ID: StageFinish, Title: "Make the indexes", Steps: []Step{
			{ID: "finish.index.b", Title: "Index b", On: Target, Batch: "indexes", Weight: 20, Table: &Name{"public", "orders"}, Estimate: &Estimate{310, "btree index over 212 GB, measured over 512 kB of them"}, Do: Action{SQL: "create index b on public.orders (note);"}},
			{ID: "finish.index.a", Title: "Index a", On: Target, Batch: "indexes", Weight: 10, Do: Action{SQL: "create index a on public.orders (id) where note <> '```';"}},
		}},
		{
			ID: StageSwitch, Title: "Fence, drain, set the sequences", Budget: 5 * time.Second, UndoOnFailure: true, Irreversible: true,
			Steps: []Step{{ID: "switch.fence", Title: "Fence " + Name{"Odd \"one\"", "a`b\n|c"}.String(), On: Source, Hazards: []Hazard{HazardStopsWrites}, Do: Action{Call: "cutover.fence"}}},
		},
	}
}

func encoded(p Plan) string {
	var b strings.Builder
	if err := p.Encode(&b); err != nil {
		panic(err)
	}
	return b.String()
}

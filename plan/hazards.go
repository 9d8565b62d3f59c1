package plan

// KnownHazard is something that has gone wrong in upgrades by logical replication, and what pgleap does about it:
// a check that blocks or warns, a step that handles it, or a reason why it is nobody's business here.
type KnownHazard struct {
	What   string   // what happens
	Where  string   // source, target, definitions, copy
	Checks []string // ids of checks
	By     string   // what handles it; for one that is out of scope the reason
}

// KnownHazards is the list that docs/checks.md shows. A hazard without a check and without a word is a mistake,
// which a test finds.
func KnownHazards() []KnownHazard { return knownHazards }

var knownHazards = []KnownHazard{
	{"A published table without a usable replica identity: its UPDATEs and DELETEs fail in production", "source", []string{"replica-identity"}, "--set-replica-identity gives it one before it is published (step publish.identity) and puts the old one back"},
	{"The same with INSERT … ON CONFLICT DO UPDATE on 10 to 12: the update is lost in silence", "source", []string{"replica-identity"}, ""},
	{"REPLICA IDENTITY FULL with a type without equality (json, point, xml): apply stops", "source", []string{"identity-full", "replica-identity"}, ""},
	{"REPLICA IDENTITY FULL reads the whole table for each change, before 16 even with an index", "source", []string{"identity-full"}, ""},
	{"Unlogged tables are not in the WAL", "source", []string{"unlogged-tables"}, "--copy-in-switch copies them while writes stand still"},
	{"Temporary tables", "source", nil, "out of scope: they live in one session, which ends when its client goes to the new server"},
	{"A partitioned root cannot be published before 13", "source", []string{"partitions"}, "leaves are published, always (step publish.publication)"},
	{"publish_via_partition_root: what happens to a leaf directly is not replicated", "source", nil, "never used: leaves are published"},
	{"A table that joins a publication while a transaction that has written to it is open loses its later rows", "source", []string{"drift"}, "the publication is made before the slot, whose creation waits for every open writer; no table is added afterwards, a new one is drift"},
	{"TRUNCATE is not replicated by a 10", "source", []string{"drift"}, "the tables' files are remembered (step publish.filenodes), and a table that has another one is refused at the gate"},
	{"Views, sequences and foreign tables are in no publication", "source", []string{"foreign-tables", "sequences"}, "views travel as definitions, sequences are carried in the switch (switch.sequences)"},
	{"Materialized views are in no publication", "source", []string{"matviews"}, "refreshed on the target (finish.refresh), and once more before the switch with --refresh-matviews"},
	{"A slot's creation waits in silence for open writers of any database, and for prepared transactions", "source", []string{"long-transactions", "prepared-transactions"}, "--slot-timeout, and everybody who is waited for is named (publish.slot)"},
	{"The role has no REPLICATION, does not own the tables, may not create in the database", "source", []string{"privileges"}, ""},
	{"wal_level below logical", "source", []string{"wal-level"}, ""},
	{"Too few replication slots or walsenders: the first copy retries for ever", "source", []string{"slot-headroom"}, ""},
	{"max_slot_wal_keep_size and idle_replication_slot_timeout throw away what the target still needs", "source", []string{"wal-retention"}, "pgleap status watches the slot"},
	{"A slot that nobody reads fills the source's disk", "source", []string{"wal-retention", "leftovers"}, "pgleap abort works with --source alone"},
	{"statement_timeout and other timeouts of the replication role kill the first copy", "source", []string{"timeouts"}, "the subscription's connection switches them off"},
	{"An exported snapshot dies with its session", "source", nil, "none is exported: every table is copied by PostgreSQL's own workers"},
	{"Other consumers of logical replication (Debezium, ETL) do not move with the database", "source", []string{"foreign-slots", "publications"}, ""},
	{"A generated column in the replica identity", "source", []string{"replica-identity", "generated-columns"}, ""},
	{"CREATE SUBSCRIPTION needs a superuser before 16, and pg_create_subscription and a password from 16 on", "target", []string{"privileges", "target-reaches-source"}, ""},
	{"Too few workers or replication origins: tables are never copied, and only the log tells", "target", []string{"worker-headroom"}, ""},
	{"A table or column that the target lacks stops apply", "target", []string{"drift", "apply-alive"}, "pgleap status names it with its statement"},
	{"A new table that is in the publication but not in the subscription: its rows are dropped in silence", "target", []string{"drift"}, "tables are published by name, and a new one is refused at the gate"},
	{"A new partition", "target", []string{"partitions", "drift"}, ""},
	{"A key that only the target lacks", "target", []string{"apply-alive"}, "primary keys and identity indexes are made before the first row (schema.identity), or by sessions of the target that wait behind the table's copy (subscribe.index)"},
	{"Rows that are there already, or that somebody writes to the target", "target", []string{"target-empty", "target-writes", "apply-alive"}, ""},
	{"TRUNCATE with a foreign key from a table that is not published", "target", []string{"selection-fks", "lanes"}, "foreign keys come after the copy"},
	{"ENABLE ALWAYS and ENABLE REPLICA triggers act a second time", "target", []string{"always-triggers"}, "made behind the fence (switch.deferred)"},
	{"Functions with unqualified names run with an empty search_path in apply and index builds", "target", []string{"search-path-functions", "schema-loads"}, ""},
	{"Foreign keys are not checked in apply", "target", nil, "nothing is lost: cascades arrive as rows of their own; the keys are made and checked in stage finish"},
	{"default_transaction_read_only on the target refuses the applications after the switch", "target", []string{"target-read-only", "timeouts"}, ""},
	{"lock_timeout and statement_timeout of the subscription's owner stop apply", "target", []string{"timeouts"}, ""},
	{"Row level security, and an owner that is no superuser", "target", []string{"privileges"}, ""},
	{"DROP SUBSCRIPTION with the source away leaves slots behind", "target", []string{"leftovers"}, "the subscription gives its slot up first; the slots are dropped by a step of their own, copy slots too"},
	{"One huge transaction is applied only when it commits", "target", []string{"long-transactions", "lag"}, "streaming = on from 14 on; the gate waits until the target is near"},
	{"synchronous_commit = off confirms 200 ms late", "target", nil, "switched on before the switch (switch.durable)"},
	{"Statistics are not replicated", "target", []string{"statistics"}, "analyzed as soon as its rows are there (subscribe.analyze)"},
	{"Definitions that the new major refuses: postfix operators, WITH OIDS, abstime, anyarray aggregates, vanished catalog columns, dropped extensions, plpython2", "definitions", []string{"removed-features", "schema-loads", "extensions"}, ""},
	{"An encoding or collation that differs", "definitions", []string{"encoding-collation"}, "indexes are built anew"},
	{"md5 passwords are deprecated from 18 on", "definitions", []string{"roles"}, ""},
	{"Roles and their settings are not in a dump of a database", "definitions", []string{"roles"}, "--roles and --settings carry them over"},
	{"Large objects are not replicated", "definitions", []string{"large-objects"}, "--copy-in-switch copies them while writes stand still"},
	{"Rows of extensions' tables are neither dumped nor replicated", "definitions", []string{"extension-data"}, ""},
	{"Binary COPY between majors differs in silence for some types", "copy", nil, "never used: PostgreSQL's own copy sends text"},
	{"ctid ranges, split tables, exported snapshots of a copy by hand", "copy", nil, "out of scope: rows are copied by PostgreSQL's own workers"},
	{"The older server cannot be followed back to: slots, workers, rights, its way to the new one", "way back", []string{"reverse-ready"}, "--no-way-back does without; pgleap status says at any time whether pgleap rollback is possible"},
	{"Values and definitions that the older server does not take, written on the new one, stop the way back", "way back", []string{"reverse-values"}, "pgleap status names what differs; pgleap rollback is refused, and nothing is lost"},
	{"TRUNCATE does not come back to a 10", "way back", []string{"reverse-values"}, "the new server's files are remembered, and pgleap rollback is refused once a table has another one"},
	{"One of the two servers is gone for good after the switch", "way back", nil, "pgleap finalize --target … alone; pgleap finalize --source … --target-is-lost opens the old one, and says how far it had followed"},
}

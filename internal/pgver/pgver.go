// Package pgver knows PostgreSQL's versions: the only place in pgleap with "major >= n".
//
// A difference between majors that the tool has to act on is a Feature: the first major that has it, and
// the one-line reason it matters here. The facts come from the release notes and were tried on the servers.
package pgver

import "fmt"

// Version is a server's server_version_num, such as 130023.
type Version int

// Oldest and Newest are the majors the tool is tested with.
const (
	Oldest = 10
	Newest = 18
)

// Major returns 13 for 13.23.
func (v Version) Major() int { return int(v) / 10000 }

// String returns "13.23".
func (v Version) String() string {
	if v == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d", v.Major(), int(v)%10000)
}

// Has tells whether a server of version v has f.
func (v Version) Has(f Feature) bool { return v.Major() >= f.Major }

// Feature is something a server can do from a certain major on.
type Feature struct {
	Major  int
	Reason string
}

// The features that pgleap's behaviour depends on.
var (
	ReadsAnyFile          = Feature{11, "pg_read_file reads files outside the data folder, for a superuser"}
	PublishTruncate       = Feature{11, "TRUNCATE travels through a publication"}
	SlotAdvance           = Feature{11, "pg_replication_slot_advance puts a slot forward"}
	IndexInclude          = Feature{11, "an index can include columns that are not part of its key (pg_index.indnkeyatts)"}
	ParallelIndexBuild    = Feature{11, "several processes build one btree index (max_parallel_maintenance_workers)"}
	ConstraintParents     = Feature{11, "a constraint of a partitioned table has copies on its leaves (pg_constraint.conparentid)"}
	CopySlot              = Feature{12, "a replication slot can be copied, without waiting for transactions (pg_copy_logical_replication_slot)"}
	GeneratedColumns      = Feature{12, "columns can be generated: they are not replicated, the target computes them"}
	RelationOIDs          = Feature{12, "WITH OIDS is gone: pg_class.relhasoids no longer exists"}
	StandbySignal         = Feature{12, "a file standby.signal makes a standby; before, recovery.conf does"}
	NoOldTimes            = Feature{12, "the types abstime, reltime and tinterval are gone"}
	PublishPartitioned    = Feature{13, "a partitioned root may stand in a publication"}
	SlotWALStatus         = Feature{13, "pg_replication_slots tells wal_status and safe_wal_size"}
	DropDatabaseForce     = Feature{13, "drop database … with (force) ends the sessions in it"}
	ProgressCopy          = Feature{14, "pg_stat_progress_copy tells the bytes of a running first copy"}
	CopyThenCatchUp       = Feature{14, "a table's first copy is committed before its worker catches up: what fails then does not copy again"}
	TidRangeScan          = Feature{14, "a condition on a range of ctid reads the pages of that range alone"}
	IdleSessionTimeout    = Feature{14, "idle_session_timeout exists and ends sessions that wait"}
	NoPostfixOperators    = Feature{14, "postfix operators are gone"}
	CompatibleArrays      = Feature{14, "array_append and its like take anycompatiblearray instead of anyarray"}
	SubscriptionStreaming = Feature{14, "a large transaction can be streamed before its commit; the option binary exists"}
	WALStatistics         = Feature{14, "pg_stat_wal counts the WAL that was written"}
	SubscriptionStats     = Feature{15, "pg_stat_subscription_stats counts the errors of apply and sync"}
	DisableOnError        = Feature{15, "subscriptions have disable_on_error and SKIP"}
	ParameterPrivileges   = Feature{15, "a role can be granted to set a parameter that takes a superuser"}
	PublicSchemaClosed    = Feature{15, "schema public is no longer writable by everybody"}
	LocaleProviders       = Feature{15, "a database can order text by ICU, and records the version of its collation"}
	CreateSubscription    = Feature{16, "the role pg_create_subscription may create subscriptions without superuser"}
	SetOption             = Feature{16, "SET ROLE and the inheritance of privileges are options of each membership"}
	SubscriptionOrigin    = Feature{16, "subscriptions have origin, run_as_owner and password_required"}
	RoleAdministration    = Feature{16, "CREATEROLE gives only what its holder has and administers; a membership has INHERIT and SET of its own"}
	IndexForIdentityFull  = Feature{16, "apply uses any btree index for a table with REPLICA IDENTITY FULL"}
	TransactionTimeout    = Feature{17, "transaction_timeout exists and ends long sessions"}
	BuiltinLocales        = Feature{17, "a database can order text by PostgreSQL's own rules; the names of ICU and builtin locales are in pg_database.datlocale"}
	MaintenancePath       = Feature{17, "REFRESH MATERIALIZED VIEW, ANALYZE and index builds run with search_path pg_catalog, pg_temp, whatever the session has"}
	MaintainPrivilege     = Feature{17, "tables have the privilege MAINTAIN"}
	SequenceData          = Feature{18, "pg_get_sequence_data reads last_value and is_called without opening the sequence"}
	ReplicationOrigins    = Feature{18, "max_active_replication_origins bounds the origins; before, max_replication_slots does"}
	GeneratedIdentity     = Feature{18, "updates of a table whose replica identity has an unpublished generated column are refused"}
	ConflictCounters      = Feature{18, "pg_stat_subscription_stats counts conflicts by kind"}
	VirtualColumns        = Feature{18, "generated columns can be virtual"}
	MD5Deprecated         = Feature{18, "passwords stored as md5 are deprecated: a later major will not take them"}
	NotEnforced           = Feature{18, "constraints can be NOT ENFORCED (pg_constraint.conenforced)"}
	NotNullConstraints    = Feature{18, "NOT NULL is a row of pg_constraint"}
)

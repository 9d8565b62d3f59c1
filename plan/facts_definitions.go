package plan

// DefinitionFacts are definitions that checks look at. All of it is volatile: the catalogs of both sides are compared object by object before the switch.
type DefinitionFacts struct {
	LargeObjects LargeObjects `json:"large_objects,omitzero"`

	ConcurrentMatViews []Name             `json:"concurrent_matviews,omitempty"` // materialized views that REFRESH … CONCURRENTLY takes
	SequencePositions  []SequencePosition `json:"sequence_positions,omitempty"`
	TimePartitions     []TimePartitions   `json:"time_partitions,omitempty"`
	Switched           []SwitchedTrigger  `json:"switched_triggers,omitempty"`
	EventTriggers      []EventTrigger     `json:"event_triggers,omitempty"`
	Invalid            []InvalidObject    `json:"invalid_objects,omitempty"`
	Removed            []RemovedUse       `json:"removed,omitempty"`
	SystemUses         []SystemUse        `json:"system_uses,omitempty"`
	Functions          []FunctionUse      `json:"functions,omitempty"`
	TypeUses           []TypeUse          `json:"type_uses,omitempty"`

	// Of the target. What is only compared with is not written into the plan: without it nothing is compared.
	ExtensionDefaults map[string]ExtensionDefault `json:"extension_defaults,omitempty"`
	SystemColumns     map[string][]string         `json:"-"` // pg_catalog.pg_class → its columns
	SystemCasts       []string                    `json:"-"` // "integer as bytea", made by PostgreSQL itself
}

// SequencePosition is where a sequence stands.
type SequencePosition struct {
	Name       Name   `json:"name"`
	Last       *int64 `json:"last,omitempty"` // nil: never called, or Unreadable, or Busy
	Unreadable bool   `json:"unreadable,omitempty"`
	Busy       bool   `json:"busy,omitempty"`        // somebody's lock is in the way
	Table      *Name  `json:"table,omitempty"`       // of the column that owns it
	Column     string `json:"column,omitempty"`      // that owns it
	ColumnType string `json:"column_type,omitempty"` // the domain's base, where it is one
}

// TimePartitions is a partitioned table whose key is a time and whose partitions come to an end.
type TimePartitions struct {
	Root    Name    `json:"root"`
	Ends    string  `json:"ends"`    // the day on which the newest one ends
	Days    float64 `json:"days"`    // until then; negative when it is past
	Default bool    `json:"default"` // there is a default partition
}

// SwitchedTrigger is a trigger, a rule or a foreign key that somebody has switched to another state than CREATE
// leaves it in.
type SwitchedTrigger struct {
	Kind    string `json:"kind"` // trigger, rule, foreign key
	Table   Name   `json:"table"`
	Name    string `json:"name"`
	Enabled string `json:"enabled"` // A always, R replica, D disabled
}

// EventTrigger fires for definitions.
type EventTrigger struct {
	Name    string   `json:"name"`
	Event   string   `json:"event"`
	Enabled string   `json:"enabled"` // O, A always, R replica, D disabled
	Tags    []string `json:"tags,omitempty"`
}

// InvalidObject is an index that does not serve, or a constraint that was never validated.
type InvalidObject struct {
	Kind    string `json:"kind"` // index, check constraint, domain constraint, foreign key, constraint
	Table   Name   `json:"table"`
	Name    string `json:"name"`
	Unique  bool   `json:"unique,omitempty"`
	Running bool   `json:"running,omitempty"` // it is just being built
}

// RemovedUse is a definition that stands on something that a newer major no longer has.
type RemovedUse struct {
	Kind   string `json:"kind"` // column, domain, function, postfix operator, aggregate, operator, cast
	Name   Name   `json:"name"`
	Member string `json:"member,omitempty"` // the column, the arguments, the cast's target
	Uses   string `json:"uses,omitempty"`   // the type or the function that is gone
}

// SystemUse is a view or a rule that reads a column of PostgreSQL's own relations, or of an extension's.
type SystemUse struct {
	View      Name   `json:"view"`
	Kind      string `json:"kind"` // of the relation, as in Relation.Kind
	Relation  Name   `json:"relation"`
	Column    string `json:"column"`
	Extension string `json:"extension,omitempty"`
}

// FunctionUse is a function in SQL or PL/pgSQL that runs without a session of an application.
type FunctionUse struct {
	Function  string   `json:"function"` // with its arguments, as ALTER FUNCTION takes it
	Extension string   `json:"extension,omitempty"`
	Kind      string   `json:"kind"` // index, partition key, check constraint, domain, generated column, statistics, materialized view
	On        Name     `json:"on"`   // the table, the domain or the materialized view
	Member    string   `json:"member,omitempty"`
	Bare      []string `json:"bare,omitempty"`     // names that only a search_path finds
	Schemas   []string `json:"schemas,omitempty"`  // where those are
	Through   string   `json:"through,omitempty"`  // the function that it calls, in whose body they stand
	Unsure    bool     `json:"unsure,omitempty"`   // the body sets a search_path itself, or makes temporary tables
	Changing  []string `json:"changing,omitempty"` // what an expression that is computed anew must not depend on
}

// TypeUse is a column that may hold, on a newer server, what an older one does not take.
type TypeUse struct {
	Type   string `json:"type"` // numeric without a precision, interval, jsonpath, aclitem, "char", or the enum's name
	Enum   bool   `json:"enum,omitempty"`
	Table  Name   `json:"table"`
	Column string `json:"column"`
}

// ExtensionDefault is what CREATE EXTENSION makes on the target.
type ExtensionDefault struct {
	Version   string `json:"version"`
	Superuser bool   `json:"superuser,omitempty"` // asks for one
}

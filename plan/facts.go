package plan

import (
	"strings"

	"pgleap/internal/pgver"
)

// Facts is what one server told us, all of it read before any judgement. Fields marked volatile are left
// out of the fingerprint: they change while nothing that matters to the plan does.
type Facts struct {
	Side     Side          `json:"side"`
	Version  pgver.Version `json:"version"`
	SystemID string        `json:"system_id"`
	Database string        `json:"database"`
	Address  string        `json:"address"` // host:port, never a password
	User     string        `json:"user"`
	Encoding string        `json:"encoding"`
	Recovery bool          `json:"recovery"` // a standby
	ReadOnly bool          `json:"read_only"`

	Role     Role              `json:"role"` // what the connected role may do
	Settings map[string]string `json:"settings"`

	Schemas     []string            `json:"schemas,omitempty"`
	Relations   []Relation          `json:"relations,omitempty"`
	Sequences   []Sequence          `json:"sequences,omitempty"`
	ForeignKeys []ForeignKey        `json:"foreign_keys,omitempty"`
	Extensions  []Extension         `json:"extensions,omitempty"`
	Available   map[string][]string `json:"available_extensions,omitempty"` // target: name → versions
	Roles       []string            `json:"roles,omitempty"`                // every role of the cluster that is not pg_*
	RolesUsed   []string            `json:"roles_used,omitempty"`           // roles that own or are granted something in this database

	// ExtensionData are the tables of extensions that hold rows which the extension does not make by itself.
	ExtensionData []ExtensionTable `json:"extension_data,omitempty"`

	LargeObjects int64      `json:"large_objects,omitempty"`
	UserObjects  []string   `json:"user_objects,omitempty"` // target: what is there that we did not make, a sample of at most 20
	Leftovers    []Leftover `json:"leftovers,omitempty"`

	// Volatile.
	SlotsUsed     int           `json:"slots_used"`
	SendersUsed   int           `json:"senders_used"`
	WorkersUsed   int           `json:"workers_used"` // logical replication workers of the cluster
	OriginsUsed   int           `json:"origins_used"`
	Prepared      []PreparedTx  `json:"prepared,omitempty"`
	Transactions  []Transaction `json:"transactions,omitempty"`   // open longer than a few seconds, of any database
	ReachesSource *Reach        `json:"reaches_source,omitempty"` // target: tried for real
	ReachesTarget *Reach        `json:"reaches_target,omitempty"` // source: the same for the way back
	PgDump        *PgDump       `json:"pg_dump,omitempty"`        // source facts carry the program that was found

	Cluster     ClusterFacts    `json:"cluster"`
	Definitions DefinitionFacts `json:"definitions"`
	RoleDetails RoleFacts       `json:"role_details"`
	Trial       *TrialFacts     `json:"trial,omitempty"` // target
}

// Role is what the connected role may do on this server.
type Role struct {
	Name                 string   `json:"name"`
	Superuser            bool     `json:"superuser"`
	Replication          bool     `json:"replication"` // REPLICATION, or a member of what a managed service has for it
	CreateOnDatabase     bool     `json:"create_on_database"`
	CreateSubscription   bool     `json:"create_subscription"`    // superuser, or pg_create_subscription on 16+
	NotOwned             []string `json:"not_owned,omitempty"`    // tables and partitioned roots it does not own
	NotReadable          []string `json:"not_readable,omitempty"` // tables and roots it may not select from
	SequencesNotReadable []string `json:"sequences_not_readable,omitempty"`
	BypassRLS            bool     `json:"bypass_rls"`
	Filtered             []string `json:"filtered,omitempty"` // published tables whose policies hide rows from it
	SeesSessions         bool     `json:"sees_sessions"`      // sees how long other roles' transactions are open

	// Empty for a superuser.
	MemberOf      []string `json:"member_of,omitempty"` // roles whose privileges it has, itself among them
	CanSet        []string `json:"can_set,omitempty"`   // roles it can become with SET ROLE
	Superusers    []string `json:"superusers,omitempty"`
	DatabaseOwner string   `json:"database_owner,omitempty"`
	PublicOwner   string   `json:"public_owner,omitempty"` // of schema public; "" where there is none
	OwnsPublic    bool     `json:"owns_public,omitempty"`
	NoTablespaces []string `json:"no_tablespaces,omitempty"` // in which it may not create
	NoWrappers    []string `json:"no_wrappers,omitempty"`    // foreign data wrappers that it may not use
}

// Name is a schema-qualified name as the catalog holds it, not quoted.
type Name struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String returns the name quoted where PostgreSQL needs it, such as public."Order".
func (n Name) String() string { return QuoteIdent(n.Schema) + "." + QuoteIdent(n.Name) }

// Relation is a table or another relation that holds rows.
type Relation struct {
	Name        Name     `json:"name"`
	OID         uint32   `json:"-"`
	Kind        string   `json:"kind"`        // r table, p partitioned root, m materialized view, f foreign table, v view
	Persistence string   `json:"persistence"` // p permanent, u unlogged
	Owner       string   `json:"owner"`
	Partition   bool     `json:"partition,omitempty"` // a partition of a root
	Root        *Name    `json:"root,omitempty"`      // the top-most root of a partition
	Parents     []Name   `json:"parents,omitempty"`   // inheritance or partition parents
	Extension   string   `json:"extension,omitempty"` // member of this extension: not dumped, not published
	Columns     []Column `json:"columns,omitempty"`

	Identity          string   `json:"identity"`                     // relreplident: d, n, f, i
	IdentityUsable    bool     `json:"identity_usable"`              // updates and deletes can be published
	IdentityIndex     string   `json:"identity_index,omitempty"`     // the index that serves, where one does
	PrimaryKey        string   `json:"primary_key,omitempty"`        // the valid, immediate index of the primary key
	DeferrableKey     bool     `json:"deferrable_key,omitempty"`     // the primary key is deferrable: it cannot identify rows
	IdentityGenerated []string `json:"identity_generated,omitempty"` // generated columns in the identity: the target never gets them
	IdentityCandidate string   `json:"identity_candidate,omitempty"` // a unique index that could serve
	NoEquality        []string `json:"no_equality,omitempty"`        // columns whose type has no equality: FULL cannot work
	RLS               bool     `json:"rls,omitempty"`
	WithOIDs          bool     `json:"with_oids,omitempty"`
	Populated         bool     `json:"populated,omitempty"`    // materialized view with rows
	Depth             int      `json:"depth,omitempty"`        // materialized view: how many others it is built on, in a row
	Uses              []Name   `json:"uses,omitempty"`         // view, materialized view: the relations it is built on
	UniqueIndex       string   `json:"unique_index,omitempty"` // materialized view: an index by which it can be refreshed concurrently

	// Volatile.
	Rows       int64 `json:"rows"`               // the planner's estimate
	Disorder   bool  `json:"disorder,omitempty"` // the rows lie in no order of the primary key
	Bytes      int64 `json:"bytes"`              // heap and TOAST, without indexes
	IndexBytes int64 `json:"index_bytes"`
	Changes    int64 `json:"changes,omitempty"` // rows inserted, updated and deleted since the statistics began; 0 also where that is not known
}

// IsTable tells whether the relation is a table with rows of its own: what is published and fenced.
func (r Relation) IsTable() bool { return r.Kind == "r" && r.Extension == "" }

// Published tells whether the relation's rows go through the publication.
func (r Relation) Published() bool { return r.IsTable() && r.Persistence == "p" }

// Column is one column of a relation.
type Column struct {
	Name      string `json:"name"`
	Type      string `json:"type"` // format_type, schema-qualified where it is not in pg_catalog
	NotNull   bool   `json:"not_null,omitempty"`
	Identity  string `json:"identity,omitempty"`  // a always, d by default
	Generated string `json:"generated,omitempty"` // s stored, v virtual
}

// Sequence is a sequence's definition; its position is read when it counts, not here.
type Sequence struct {
	Name      Name   `json:"name"`
	Type      string `json:"type"` // smallint, integer, bigint
	Start     int64  `json:"start"`
	Increment int64  `json:"increment"`
	Min       int64  `json:"min"`
	Max       int64  `json:"max"`
	Cache     int64  `json:"cache"`
	Cycle     bool   `json:"cycle,omitempty"`
	OwnedBy   *Name  `json:"owned_by,omitempty"` // the table
	Extension string `json:"extension,omitempty"`
}

// ForeignKey ties two tables.
type ForeignKey struct {
	Name string `json:"name"`
	From Name   `json:"from"`
	To   Name   `json:"to"`
}

// Extension is installed in the database.
type Extension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Schema  string `json:"schema"`
}

// ExtensionTable is a table that belongs to an extension.
type ExtensionTable struct {
	Name      Name   `json:"name"`
	Extension string `json:"extension"`
	Config    bool   `json:"config,omitempty"` // the extension has marked it as one for its users' rows
}

// Leftover is an object of pgleap, of this run or of another.
type Leftover struct {
	Kind string `json:"kind"` // slot, publication, subscription, schema, trigger, database (of a trial load)
	Name string `json:"name"`
	Run  string `json:"run,omitempty"` // the run its name or comment tells
	Own  bool   `json:"own,omitempty"` // of the run that the facts were read for
	Of   string `json:"of,omitempty"`  // a slot that has the run's name and is not of this database: whose it is
	Drop string `json:"drop"`          // the statement that removes it
}

// PreparedTx is a prepared transaction.
type PreparedTx struct {
	GID      string  `json:"gid"`
	Owner    string  `json:"owner"`
	Database string  `json:"database"`
	Seconds  float64 `json:"seconds"`
}

// Transaction is an open transaction that has written, or one that is old.
type Transaction struct {
	PID         int     `json:"pid"`
	User        string  `json:"user"`
	Database    string  `json:"database"`
	Application string  `json:"application"`
	State       string  `json:"state"`
	Seconds     float64 `json:"seconds"`
	Writes      bool    `json:"writes"` // has a transaction id: the slot's creation waits for it
	Query       string  `json:"query"`
}

// Reach is the answer of a trial connection between the servers.
type Reach struct {
	Tried bool   `json:"tried"`
	OK    bool   `json:"ok"`
	Code  string `json:"code,omitempty"`  // SQLSTATE
	Error string `json:"error,omitempty"` // the server's own message
}

// PgDump is the pg_dump that will be used.
type PgDump struct {
	Command string `json:"command,omitempty"`
	Major   int    `json:"major,omitempty"`
	Version string `json:"version,omitempty"`
	Error   string `json:"error,omitempty"` // why none can be used
}

// QuoteIdent quotes an identifier where PostgreSQL needs it. Every identifier that pgleap sends goes through it.
// A reserved word is quoted too: the whole list of words need not be known when everything that is not
// plainly harmless is quoted.
func QuoteIdent(s string) string {
	plain := s != "" && !reserved[s]
	for i, c := range s {
		if c == '_' || (c >= 'a' && c <= 'z') || (i > 0 && c >= '0' && c <= '9') {
			continue
		}
		plain = false
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// QuoteLiteral quotes a string constant; a backslash makes it an escape string, right with either setting of
// standard_conforming_strings.
func QuoteLiteral(s string) string {
	q := `'` + strings.ReplaceAll(s, `'`, `''`) + `'`
	if strings.Contains(s, `\`) {
		return ` E` + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// reserved holds the words that PostgreSQL 10 to 18 do not take as a bare table or column name
// (pg_get_keywords with catcode R, T or C).
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both
		case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
		current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end
		except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner
		inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg
		json_query json_scalar json_serialize json_table json_value lateral leading least left like limit localtime localtimestamp
		merge_action national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps
		overlay placing position precision primary real references returning right row select session_user setof similar smallint some
		substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user using values
		varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
		xmlpi xmlroot xmlserialize xmltable`) {
		m[w] = true
	}
	return m
}()

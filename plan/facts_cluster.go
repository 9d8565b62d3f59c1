package plan

import "fmt"

// ClusterFacts is what a server holds besides the tables of this database. All of it is volatile.
type ClusterFacts struct {
	Slots         []Slot        `json:"slots,omitempty"`         // replication slots that are not ours
	Standbys      int           `json:"standbys,omitempty"`      // physical standbys that are connected
	Publications  []Publication `json:"publications,omitempty"`  // of this database, not ours
	Subscriptions []string      `json:"subscriptions,omitempty"` // of this database, not ours

	// WALBytesPerSecond is how much WAL the source writes; 0 is not known. WALBasis says how it was measured.
	WALBytesPerSecond float64 `json:"wal_bytes_per_second,omitempty"`
	WALBasis          string  `json:"wal_basis,omitempty"`

	// Settings are what a session of the connected role gets in this database when it asks for nothing.
	Settings map[string]ServerSetting `json:"settings,omitempty"`
	// RoleTimeouts are lock_timeout and statement_timeout of other roles, and of this database for all of them.
	RoleTimeouts []RoleTimeout `json:"role_timeouts,omitempty"`

	RoundTrip float64 `json:"round_trip,omitempty"` // seconds from where pgleap runs; 0 is not measured

	// MemoryBytes and Processors are those of the machine, or of what the server may use of it; 0 is not known: only a
	// superuser can look, and only on Linux.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	Processors  int   `json:"processors,omitempty"`

	Locale     Locale      `json:"locale"`
	Collations []Collation `json:"collations,omitempty"` // that stand in columns, and all that users made

	Databases      []string        `json:"databases,omitempty"` // others of the cluster that hold something
	ForeignServers []ForeignServer `json:"foreign_servers,omitempty"`
	Tablespaces    []Tablespace    `json:"tablespaces,omitempty"` // all of the cluster, without PostgreSQL's own
	Tablespace     string          `json:"tablespace,omitempty"`  // this database's own
	Labels         []Labels        `json:"labels,omitempty"`
}

// Slot is a replication slot of somebody else.
type Slot struct {
	Name     string `json:"name"`
	Database string `json:"database,omitempty"`
	Plugin   string `json:"plugin,omitempty"` // "" is a physical slot
	Active   bool   `json:"active,omitempty"`
}

// Publication is one that pgleap did not make.
type Publication struct {
	Name      string `json:"name"`
	AllTables bool   `json:"all_tables,omitempty"`
	Tables    int    `json:"tables,omitempty"`
}

// ServerSetting is one of pg_settings.
type ServerSetting struct {
	Setting string `json:"setting"` // in the setting's own unit, for comparisons
	Shown   string `json:"shown"`   // with a unit that people read, such as 64MB
	Source  string `json:"source"`  // where the value comes from, in pg_settings' words
	Restart bool   `json:"restart,omitempty"`
}

// serverWide tells whether the value holds for the whole server: what a role or a database has of its own, or
// our connection string, hides the server's value.
func (s ServerSetting) serverWide() bool {
	switch s.Source {
	case "database", "user", "database user", "client", "override", "session", "":
		return false
	}
	return true
}

// RoleTimeout is a timeout that ALTER ROLE or ALTER DATABASE has set.
type RoleTimeout struct {
	Role    string `json:"role,omitempty"` // "" is every role
	Name    string `json:"name"`
	Setting string `json:"setting"` // as it was written: 5000, 5s, 1min
}

// Locale is what decides how the database orders text.
type Locale struct {
	Provider string `json:"provider,omitempty"` // libc, icu or builtin
	Collate  string `json:"collate,omitempty"`
	Ctype    string `json:"ctype,omitempty"`
	Name     string `json:"name,omitempty"`     // of icu and builtin
	Recorded string `json:"recorded,omitempty"` // version of the collation when the database was made, or refreshed
	Actual   string `json:"actual,omitempty"`   // version that the machine has now
	ICU      string `json:"icu,omitempty"`      // version of the ICU library's collations
}

// String names the order as people do.
func (l Locale) String() string {
	switch {
	case l.Name != "":
		return l.Provider + " " + l.Name
	case l.Ctype != l.Collate:
		return fmt.Sprintf("%s %s (characters: %s)", l.Provider, l.Collate, l.Ctype)
	}
	return l.Provider + " " + l.Collate
}

// Collation is one that users made or that a column has.
type Collation struct {
	Name     Name   `json:"name"`
	Provider string `json:"provider"`
	Recorded string `json:"recorded,omitempty"`
	Actual   string `json:"actual,omitempty"`
}

// ForeignServer is where foreign tables have their rows. No option that may hold a secret is read.
type ForeignServer struct {
	Name     string        `json:"name"`
	Wrapper  string        `json:"wrapper"`
	Host     string        `json:"host,omitempty"`
	Mappings []UserMapping `json:"mappings,omitempty"`
}

// UserMapping is how a role gets into a foreign server.
type UserMapping struct {
	User    string   `json:"user"`
	Secrets []string `json:"secrets,omitempty"` // names of the options that hold one
}

// Tablespace is one that users made.
type Tablespace struct {
	Name      string `json:"name"`
	Location  string `json:"location,omitempty"`
	CanCreate bool   `json:"can_create,omitempty"`
	Tables    []Name `json:"tables,omitempty"` // of this database that have themselves or an index in it
}

// Labels are the security labels of one provider.
type Labels struct {
	Provider string `json:"provider"`
	Count    int    `json:"count"`            // on objects of this database
	Shared   int    `json:"shared,omitempty"` // on roles, tablespaces and this database itself
}

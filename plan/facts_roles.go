package plan

// RoleFacts are the roles of a server with what belongs to them, and the settings of this database. All of it is volatile.
type RoleFacts struct {
	OwnerFacts

	Roles        []RoleDetail  `json:"roles,omitempty"`         // all but pg_*
	Settings     []RoleSetting `json:"settings,omitempty"`      // of this database, of its roles, of all roles
	Grantable    []string      `json:"grantable,omitempty"`     // roles that the connected role may give to others; empty for a superuser
	OwnsDatabase bool          `json:"owns_database,omitempty"` // the connected role may ALTER DATABASE

	// Parameters are the server's settings, of the target only: may the connected role set it for a role or a
	// database? Hundreds that nobody asks for later: they are not saved.
	Parameters map[string]bool `json:"-"`
}

// The kinds of passwords: never the password itself, nor what the server stores of it.
const (
	PasswordMD5     = "md5"
	PasswordSCRAM   = "scram"
	PasswordNone    = "none"
	PasswordUnknown = "unknown" // only a superuser may look
)

// RoleDetail is a role as pg_roles shows it.
type RoleDetail struct {
	Name            string       `json:"name"`
	Bootstrap       bool         `json:"bootstrap,omitempty"` // made the cluster: it cannot be dropped
	Superuser       bool         `json:"superuser,omitempty"`
	Inherit         bool         `json:"inherit,omitempty"`
	CreateRole      bool         `json:"create_role,omitempty"`
	CreateDB        bool         `json:"create_db,omitempty"`
	Login           bool         `json:"login,omitempty"`
	Replication     bool         `json:"replication,omitempty"`
	BypassRLS       bool         `json:"bypass_rls,omitempty"`
	ConnectionLimit int          `json:"connection_limit"`      // -1: none
	ValidUntil      string       `json:"valid_until,omitempty"` // of its password, in UTC
	Comment         string       `json:"comment,omitempty"`
	Connects        bool         `json:"connects,omitempty"` // may log in to this database
	Password        string       `json:"password"`           // its kind
	MemberOf        []Membership `json:"member_of,omitempty"`
}

// Membership makes a role a member of another. Before 16 a role's own INHERIT counts for all it is a member
// of, and every member may SET ROLE: that is what Inherit and Set then say.
type Membership struct {
	Role    string `json:"role"`
	Admin   bool   `json:"admin,omitempty"`
	Inherit bool   `json:"inherit,omitempty"`
	Set     bool   `json:"set,omitempty"`
}

// RoleSetting is what ALTER ROLE or ALTER DATABASE … SET has set.
type RoleSetting struct {
	Role     string `json:"role,omitempty"`     // "" is every role
	Database bool   `json:"database,omitempty"` // in this database only
	Name     string `json:"name"`
	Value    string `json:"value"` // as pg_db_role_setting holds it
}

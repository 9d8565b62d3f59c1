package plan

import (
	"slices"
	"strings"
)

// alters is the beginning of the statement that changes a setting where s has it.
func (s RoleSetting) alters(database string) string {
	switch {
	case s.Role == "" && s.Database:
		return "alter database " + QuoteIdent(database)
	case s.Role == "":
		return "alter role all"
	case s.Database:
		return "alter role " + QuoteIdent(s.Role) + " in database " + QuoteIdent(database)
	}
	return "alter role " + QuoteIdent(s.Role)
}

// SetStatement is the statement that makes the setting in a database of that name, quoted as pg_dumpall does.
func (s RoleSetting) SetStatement(database string) string {
	return s.alters(database) + " set " + parameter(s.Name) + " to " + quotedSetting(s.Name, s.Value) + ";"
}

// ResetStatement is the statement that takes it away.
func (s RoleSetting) ResetStatement(database string) string {
	return s.alters(database) + " reset " + parameter(s.Name) + ";"
}

// SameScope tells whether two settings stand in the same place under the same name.
func (s RoleSetting) SameScope(o RoleSetting) bool {
	return s.Role == o.Role && s.Database == o.Database && strings.EqualFold(s.Name, o.Name)
}

// where says in words where the setting stands.
func (s RoleSetting) where() string {
	switch {
	case s.Role == "" && s.Database:
		return "the database"
	case s.Role == "":
		return "all roles"
	case s.Database:
		return "role " + ident(s.Role) + " in this database"
	}
	return "role " + ident(s.Role)
}

// parameter quotes a setting's name part by part: an extension's own has a dot. PostgreSQL finds a name in
// any case.
func parameter(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = QuoteIdent(p)
	}
	return strings.Join(parts, ".")
}

// listValued hold a list of names that are quoted one by one (GUC_LIST_QUOTE); as one constant 'a, b' would
// be a single name. The same list stands in pg_dump's variable_is_guc_list_quote.
var listValued = []string{
	"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
}

func quotedSetting(name, value string) string {
	if !slices.ContainsFunc(listValued, func(l string) bool { return strings.EqualFold(l, name) }) {
		return constant(value)
	}
	var list []string
	for _, item := range splitNames(value) {
		list = append(list, constant(item))
	}
	if len(list) == 0 {
		return "''"
	}
	return strings.Join(list, ", ")
}

// constant is QuoteLiteral without the blank that keeps E'…' from growing into a word.
func constant(s string) string { return strings.TrimSpace(QuoteLiteral(s)) }

// splitNames reads a list of names as pg_dump's SplitGUCList does: parted by commas, in double quotes or bare,
// nothing folded to lower case.
func splitNames(list string) []string {
	var out []string
	for rest := strings.TrimSpace(list); rest != ""; {
		var name string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || strings.HasPrefix(rest[end:], `""`)) {
				if rest[end] == '"' {
					end++
				}
				end++
			}
			name = strings.ReplaceAll(rest[1:min(end, len(rest))], `""`, `"`)
			_, rest, _ = strings.Cut(rest[min(end+1, len(rest)):], ",")
		} else {
			name, rest, _ = strings.Cut(rest, ",")
			name = strings.TrimSpace(name)
		}
		out = append(out, name)
		rest = strings.TrimSpace(rest)
	}
	return out
}

// settingFate says what becomes of a setting of the source; "" is that it can be set on the target.
type settingFate string

const (
	settingUnknown   settingFate = "unknown"
	settingForbidden settingFate = "forbidden"
	settingUnsafe    settingFate = "unsafe"
)

// ownSettings would change pgleap's own sessions, or make the new server refuse what it is there for: for the
// whole database, for all roles and for pgleap's role they are not carried. For another role they are: a role
// that only reads is meant to only read.
var ownSettings = []string{"default_transaction_read_only", "role", "session_replication_role"}

// preloadSettings name libraries: where one is missing, every login that it counts for fails.
var preloadSettings = []string{"local_preload_libraries", "session_preload_libraries"}

// off tells whether the setting says only what holds without it.
func (s RoleSetting) off() bool {
	return slices.Contains([]string{"off", "false", "no", "0", "none", "origin"}, strings.ToLower(s.Value))
}

func (w roleWork) fate(s RoleSetting) settingFate {
	name := strings.ToLower(s.Name)
	ours := s.Role == "" || s.Role == w.in.target.Role.Name
	if slices.Contains(preloadSettings, name) || ours && slices.Contains(ownSettings, name) && !s.off() {
		return settingUnsafe
	}
	super := w.in.target.Role.Superuser
	if all := w.in.target.RoleDetails.Parameters; len(all) > 0 {
		may, known := all[name]
		switch {
		case !known && !strings.Contains(name, "."):
			return settingUnknown
		case known && !may, !known && !super: // a name with a dot that nobody has declared takes a superuser
			return settingForbidden
		}
	}
	switch {
	case super:
	case s.Role == "" && (!s.Database || !w.in.target.RoleDetails.OwnsDatabase):
		return settingForbidden
	case s.Role != "" && s.Role != w.in.target.Role.Name && !w.mayGrant(s.Role):
		return settingForbidden
	}
	return ""
}

// settings are the source's that concern this database: its own, those of all roles, and those of the roles
// that are carried.
func (w roleWork) settings() []RoleSetting {
	var out []RoleSetting
	for _, s := range w.in.source.RoleDetails.Settings {
		if s.Role == "" || w.isCarried[s.Role] {
			out = append(out, s)
		}
	}
	return out
}

// sets tells whether --settings makes the setting: its role has to be there by then.
func (w roleWork) sets(s RoleSetting) bool {
	return w.in.options.Settings && w.fate(s) == "" && (s.Role == "" || w.onTarget(s.Role) || w.creates(s.Role))
}

// targetSetting is what the target has in the same place.
func (w roleWork) targetSetting(s RoleSetting) (RoleSetting, bool) {
	list := w.in.target.RoleDetails.Settings
	if i := slices.IndexFunc(list, s.SameScope); i >= 0 {
		return list[i], true
	}
	return RoleSetting{}, false
}

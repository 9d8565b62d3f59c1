package plan

import (
	"strings"
	"testing"
)

// details gives both servers a role each for app and postgres, as the catalog shows them.
func details(s, t *Facts) {
	for _, f := range []*Facts{s, t} {
		f.RoleDetails.Roles = []RoleDetail{
			{Name: "app", Inherit: true, ConnectionLimit: -1, Password: PasswordNone},
			{Name: "postgres", Bootstrap: true, Superuser: true, Inherit: true, CreateRole: true, CreateDB: true, Login: true, Connects: true, ConnectionLimit: -1, Password: PasswordSCRAM},
		}
	}
}

// client adds a role that may log in to the source.
func client(s *Facts, change func(*RoleDetail)) {
	r := RoleDetail{Name: "client", Inherit: true, Login: true, Connects: true, ConnectionLimit: -1, Password: PasswordSCRAM}
	change(&r)
	s.Roles = append(s.Roles, r.Name)
	s.RoleDetails.Roles = append(s.RoleDetails.Roles, r)
}

func asItIs(*RoleDetail) {}

// plainTarget lets pgleap be connected to the target as mover, which may create roles.
func plainTarget(t *Facts) {
	plain(&t.Role)
	t.Roles = append(t.Roles, "mover")
	t.RoleDetails.Roles = append(t.RoleDetails.Roles, RoleDetail{Name: "mover", CreateRole: true, Login: true, Inherit: true, ConnectionLimit: -1})
	t.RoleDetails.Grantable = []string{"app"}
}

func set1(role string, database bool, name, value string) []RoleSetting {
	return []RoleSetting{{Role: role, Database: database, Name: name, Value: value}}
}

var roleCases = map[string][]checkCase{
	"roles": {
		{"the same on both sides", func(s, t *Facts, _ *Options) { details(s, t); client(s, asItIs); client(t, asItIs) }, "", "", ""},
		{"one who logs in", func(s, t *Facts, _ *Options) { details(s, t); client(s, asItIs) }, Warning, "role client is missing on the target", "create role client login;"},
		{"one who may not connect", func(s, t *Facts, _ *Options) { details(s, t); client(s, func(r *RoleDetail) { r.Connects = false }) }, "", "", ""},
		{"pgleap's own on the source", func(s, t *Facts, _ *Options) { details(s, t); client(s, asItIs); s.Role.Name = "client" }, "", "", ""},
		{"a service's", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.Name = "rdsadmin" })
		}, "", "", ""},
		{"with the flag", func(s, t *Facts, o *Options) { details(s, t); client(s, asItIs); o.Roles = true }, Info, "role client is missing", "at the start of sync, with login, its password (scram)…"},
		{"used, with the flag", func(s, t *Facts, o *Options) { details(s, t); t.Roles = []string{"postgres"}; o.Roles = true }, Info, "role app is missing", "nothing: pgleap creates it…"},
		{"with the flag, begun", func(s, t *Facts, o *Options) { details(s, t); client(s, asItIs); o.Roles = true; own(s, t) }, "", "", ""},
		{"a group of one who logs in", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{Role: "Group", Inherit: true, Set: true}} })
			s.RoleDetails.Roles = append(s.RoleDetails.Roles, RoleDetail{Name: "Group", Inherit: true, ConnectionLimit: 3, ValidUntil: "2049-01-01 00:00:00+00"})
		}, Warning, `role "Group" is missing on the target`, `create role "Group" connection limit 3 valid until '2049-01-01 00:00:00+00';`},
		{"may not create", func(s, t *Facts, o *Options) {
			details(s, t)
			client(s, asItIs)
			plainTarget(t)
			t.RoleDetails.Roles[2].CreateRole, o.Roles = false, true
		}, Blocker, "role mover may not create roles", "alter role mover createrole;"},
		{"attributes that may not be given", func(s, t *Facts, o *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.Superuser, r.CreateDB, r.CreateRole = true, true, true })
			plainTarget(t)
			o.Roles = true
		}, Warning, "role client has superuser, createdb on the source, which role mover may not give", "alter role client superuser createdb;"},
		{"attributes", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.CreateDB, r.ConnectionLimit = true, 5 })
			client(t, func(r *RoleDetail) { r.Login, r.ValidUntil = false, "2020-01-01 00:00:00+00" })
		}, Warning, "on the source login, createdb, connection limit 5, valid until 'infinity'; on the target nologin, nocreatedb, connection limit -1, valid until '2020", "alter role client login createdb connection limit 5 valid until 'infinity';"},
		{"membership", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{"app", true, false, false}} })
			client(t, asItIs)
		}, Warning, "role client is not a member of app", "grant app to client with admin true, inherit false, set false;"},
		{"membership before 16", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{"app", true, true, true}} })
			client(t, asItIs)
			t.Version = version(15)
		}, Warning, "role client is not a member of app", "grant app to client with admin option;"},
		{"membership with less", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{"app", true, true, true}} })
			client(t, func(r *RoleDetail) { r.MemberOf = []Membership{{"app", false, true, true}} })
		}, Warning, "is a member of app with less", "grant app to client with admin true;"},
		{"membership that may not be given", func(s, t *Facts, o *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{"pg_monitor", false, true, true}} })
			client(t, asItIs)
			plainTarget(t)
			o.Roles = true
		}, Warning, "role client is not a member of pg_monitor on the target, and role mover may not make it one", "grant pg_monitor to client;"},
		{"membership of a service's", func(s, t *Facts, o *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.MemberOf = []Membership{{"rds_superuser", false, true, true}} })
			o.Roles = true
		}, Warning, "role client is not a member of rds_superuser", "see which role of the target stands for it…"},
		{"password not readable", func(s, t *Facts, o *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.Password = PasswordUnknown })
			o.Roles = true
		}, Warning, "passwords cannot be read on the source by role postgres: client", `\password client`},
		{"password not to be hidden", func(s, t *Facts, o *Options) { details(s, t); client(s, asItIs); plainTarget(t); o.Roles = true }, Warning, "only a superuser can keep them out of the target's log: client", `\password client`},
		{"password lost", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, asItIs)
			client(t, func(r *RoleDetail) { r.Password = PasswordNone })
		}, Warning, "none on the target: client", `\password client`},
		{"md5", func(s, t *Facts, _ *Options) {
			details(s, t)
			client(s, func(r *RoleDetail) { r.Password = PasswordMD5 })
		}, Warning, "1 passwords are stored as md5: client", `\password client`},
		{"md5 before 18", func(s, t *Facts, _ *Options) {
			details(s, t)
			md5 := func(r *RoleDetail) { r.Password = PasswordMD5 }
			client(s, md5)
			client(t, md5)
			t.Version = version(17)
		}, "", "", ""},
		{"setting of the database", func(s, _ *Facts, _ *Options) { s.RoleDetails.Settings = set1("", true, "search_path", `"$user", app`) }, Warning, "search_path of the database: on the source", "alter database shop set search_path to '$user', 'app';"},
		{"setting that differs", func(s, t *Facts, _ *Options) {
			s.RoleDetails.Settings = set1("", false, "TimeZone", "UTC")
			t.RoleDetails.Settings = set1("", false, "timezone", "CET")
		}, Warning, "TimeZone of all roles: on the source UTC, on the target CET", `alter role all set "TimeZone" to 'UTC';`},
		{"setting that is there", func(s, t *Facts, _ *Options) {
			s.RoleDetails.Settings, t.RoleDetails.Settings = set1("app", true, "work_mem", "4MB"), set1("app", true, "work_mem", "4MB")
		}, "", "", ""},
		{"setting of somebody else", func(s, _ *Facts, _ *Options) { s.RoleDetails.Settings = set1("stranger", false, "work_mem", "4MB") }, "", "", ""},
		{"setting, begun", func(s, t *Facts, _ *Options) {
			s.RoleDetails.Settings = set1("app", false, "work_mem", "4MB")
			own(s, t)
		}, "", "", ""},
		{"settings with the flag", func(s, _ *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("app", true, "work_mem", "4MB"), true
		}, Info, "1 settings differ from the source's: work_mem of role app in this database", ""},
		{"setting that is gone", func(s, t *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("app", false, "default_with_oids", "on"), true
			t.RoleDetails.Parameters = map[string]bool{"work_mem": true}
		}, Warning, "PostgreSQL 18 does not know default_with_oids", ""},
		{"setting that takes a superuser", func(s, t *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("app", false, "log_statement", "all"), true
			t.RoleDetails.Parameters = map[string]bool{"log_statement": false}
			plain(&t.Role)
		}, Warning, "role mover may not set it there", "alter role app set log_statement to 'all';"},
		{"setting of a database that is another's", func(s, t *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("", true, "work_mem", "4MB"), true
			plain(&t.Role)
		}, Warning, "role mover may not set it there", "alter database shop set work_mem to '4MB';"},
		{"read only", func(s, _ *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("", true, "default_transaction_read_only", "on"), true
		}, Warning, "the new server would refuse the writes", "alter database shop set default_transaction_read_only to 'on';"},
		{"libraries", func(s, _ *Facts, o *Options) {
			s.RoleDetails.Settings, o.Settings = set1("app", false, "session_preload_libraries", `auto_explain, "a b"`), true
		}, Warning, "where a library is missing nobody can log in", "alter role app set session_preload_libraries to 'auto_explain', 'a b';"},
	},
}

// TestReadOnlyRole: a role that only reads goes on to only read; what holds anyway harms nobody.
func TestReadOnlyRole(t *testing.T) {
	s, target := healthy()
	s.RoleDetails.Settings = append(set1("app", false, "default_transaction_read_only", "on"), set1("", true, "default_transaction_read_only", "off")...)
	got := strings.Join(RoleStatementsFor(s, target, Options{Settings: true}).Settings, "\n")
	if want := "alter role app set default_transaction_read_only to 'on';\nalter database shop set default_transaction_read_only to 'off';"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestRoleStatements: what is sent does not depend on what the target has: another run may make the same.
func TestRoleStatements(t *testing.T) {
	s, target := healthy()
	details(&s, &target)
	client(&s, func(r *RoleDetail) {
		r.Name, r.Comment, r.MemberOf = "Odd 'one}", "it's", []Membership{{"app", false, true, true}}
	})
	o := Options{Roles: true}
	first := RoleStatementsFor(s, target, o)
	want := `do $pgleap$ begin
  if not exists (select from pg_roles where rolname = 'Odd ''one}') then
    create role "Odd 'one}" login password '{{password:Odd%20%27one%7D}}';
    comment on role "Odd 'one}" is 'it''s';
  end if;
end $pgleap$;`
	if first.Roles[0] != want {
		t.Errorf("got\n%s\nwant\n%s", first.Roles[0], want)
	}
	if got := PasswordRoles(first.Roles[0]); len(got) != 1 || got[0] != "Odd 'one}" {
		t.Errorf("roles of the marks: %q", got)
	}
	if strings.Contains(first.ByHand, "{{") || !strings.Contains(first.ByHand, `\password "Odd 'one}"`) {
		t.Errorf("by hand: %s", first.ByHand)
	}
	if len(first.Roles) != 2 || len(first.Memberships) != 1 || len(first.Missing) != 1 {
		t.Errorf("%d roles, %d missing, memberships %q", len(first.Roles), len(first.Missing), first.Memberships)
	}
	client(&target, func(r *RoleDetail) { r.Name = "Odd 'one}" })
	target.Roles = append(target.Roles, "Odd 'one}")
	second := RoleStatementsFor(s, target, o)
	if strings.Join(first.Roles, "") != strings.Join(second.Roles, "") || strings.Join(first.Memberships, "") != strings.Join(second.Memberships, "") || len(second.Missing) != 0 {
		t.Errorf("a role that has come meanwhile changes the plan:\n%q\n%q", first, second)
	}
	if none := RoleStatementsFor(s, target, Options{}); len(none.Roles)+len(none.Memberships)+len(none.Settings) > 0 {
		t.Errorf("without the flags: %+v", none)
	}
}

// TestRolesAtSwitch: when the work is done nothing is announced any more, and what is missing counts.
func TestRolesAtSwitch(t *testing.T) {
	s, target := healthy()
	details(&s, &target)
	o := Options{Roles: true, Settings: true}
	if found := RolesAtSwitch(s, target, o); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	client(&s, asItIs)
	s.RoleDetails.Settings = set1("app", false, "work_mem", "4MB")
	own(&s, &target)
	found := RolesAtSwitch(s, target, o)
	if len(found) != 2 || found[0].Severity != Blocker || found[0].Check != "roles" || found[1].Severity != Warning {
		t.Errorf("with the flags: %+v", found)
	}
	if found = RolesAtSwitch(s, target, Options{}); len(found) != 2 || found[0].Severity != Warning {
		t.Errorf("without the flags: %+v", found)
	}
}

func TestSplitNames(t *testing.T) {
	for list, want := range map[string]string{
		"":                       "",
		`""`:                     "''",
		`a,b`:                    "'a', 'b'",
		`"$user", public`:        "'$user', 'public'",
		`"a, b" , c`:             "'a, b', 'c'",
		`"Two""quotes", "it's"`:  `'Two"quotes', 'it''s'`,
		`"back\slash"`:           `E'back\\slash'`,
		`"unfinished`:            "'unfinished'",
		`"$libdir/x", plain/Y.z`: "'$libdir/x', 'plain/Y.z'",
	} {
		if want == "" {
			want = "''"
		}
		if got := quotedSetting("search_path", list); got != want {
			t.Errorf("%s: %s; want %s", list, got, want)
		}
	}
}

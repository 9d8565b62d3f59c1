package catalog_test

import (
	"fmt"
	"slices"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// TestRoleDetails reads roles as a superuser and as a role without any attribute, before and after memberships
// got options of their own.
func TestRoleDetails(t *testing.T) {
	for _, major := range []int{11, 15, 16, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			server := pgserver.StartT(t, pgserver.Options{Major: major})
			admin := open(t, server.URI("postgres"))
			exec(t, admin, `create role plain login password 'p' noinherit; create role grp; create role "Limited" createdb connection limit 3 valid until '2049-05-06 07:08:09+00';
				comment on role "Limited" is 'says so'; set password_encryption = 'md5'; create role old login password 'o';
				grant grp to plain with admin option; grant grp to "Limited"; revoke connect on database postgres from public; grant connect on database postgres to plain;
				alter role grp in database postgres set work_mem = '1MB'; alter database postgres set search_path = 'a b', c; alter role all set timezone = 'UTC'; alter role old set x.y = 'a=b'`)
			options := admin.Version().Has(pgver.RoleAdministration)
			if options {
				exec(t, admin, `grant grp to old with inherit false, set false`)
			}
			f := read(t, admin, plan.Target, "shop").RoleDetails
			detail := func(name string) plan.RoleDetail {
				return f.Roles[slices.IndexFunc(f.Roles, func(r plan.RoleDetail) bool { return r.Name == name })]
			}
			same(t, "limited", detail("Limited"), plan.RoleDetail{
				Name: "Limited", Inherit: true, CreateDB: true, ConnectionLimit: 3, ValidUntil: "2049-05-06 07:08:09+00", Comment: "says so",
				Password: plan.PasswordNone, MemberOf: []plan.Membership{{Role: "grp", Inherit: true, Set: true}},
			})
			same(t, "plain", detail("plain"), plan.RoleDetail{
				Name: "plain", Login: true, ConnectionLimit: -1, Password: plan.PasswordSCRAM, Connects: true,
				MemberOf: []plan.Membership{{Role: "grp", Admin: true, Set: true}},
			})
			old := plan.RoleDetail{Name: "old", Login: true, Inherit: true, ConnectionLimit: -1, Password: plan.PasswordMD5}
			if options {
				old.MemberOf = []plan.Membership{{Role: "grp"}}
			}
			same(t, "old", detail("old"), old)
			same(t, "bootstrap", detail("postgres").Bootstrap, true)
			same(t, "settings", f.Settings, []plan.RoleSetting{
				{Name: "TimeZone", Value: "UTC"},
				{Database: true, Name: "search_path", Value: `"a b", c`},
				{Role: "grp", Database: true, Name: "work_mem", Value: "1MB"},
				{Role: "old", Name: "x.y", Value: "a=b"},
			})
			same(t, "a superuser may", []bool{f.Parameters["work_mem"], f.Parameters["log_statement"], f.Parameters["wal_level"], f.OwnsDatabase}, []bool{true, true, false, true})

			plainly := read(t, open(t, server.URIFor("plain", "p", "postgres")), plan.Target, "shop").RoleDetails
			for i := range f.Roles {
				f.Roles[i].Password = plan.PasswordUnknown
			}
			same(t, "roles as a plain role", plainly.Roles, f.Roles)
			same(t, "settings as a plain role", plainly.Settings, f.Settings)
			same(t, "may give", slices.Contains(plainly.Grantable, "grp") && !slices.Contains(plainly.Grantable, "Limited"), true)
			same(t, "a plain role may", []bool{plainly.Parameters["work_mem"], plainly.Parameters["log_statement"], plainly.OwnsDatabase}, []bool{true, false, false})
			testRoleChanges(t, admin)
		})
	}
}

// testRoleChanges: what came between two looks, and what was there before it.
func testRoleChanges(t *testing.T, db *pg.Source) {
	look := func() catalog.RoleState {
		t.Helper()
		s, err := catalog.ReadRoleState(t.Context(), db, db.Version())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := look()
	same(t, "no changes", look().Since(before), catalog.RoleChanges{})
	exec(t, db, `create role fresh; grant grp to fresh with admin option; alter role grp in database postgres set work_mem = '2MB'; alter role fresh set work_mem = '3MB'`)
	c := look().Since(before)
	same(t, "roles", c.Made.Roles, []string{"fresh"})
	same(t, "grants", c.Made.Grants, []catalog.RoleGrant{{Role: "grp", Member: "fresh", Grantor: "postgres", Admin: true, Inherit: true, Set: true}})
	same(t, "settings", c.Made.Settings, []plan.RoleSetting{{Role: "fresh", Name: "work_mem", Value: "3MB"}, {Role: "grp", Database: true, Name: "work_mem", Value: "2MB"}})
	same(t, "was", c.Was, []plan.RoleSetting{{Role: "grp", Database: true, Name: "work_mem", Value: "1MB"}})
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgleap/internal/pgserver"
)

// roleServers are servers of a test's own, whose roles nobody else changes. They log every statement, and take
// md5 passwords too.
func roleServers(t *testing.T, from, to int) *servers {
	t.Helper()
	logged := map[string]string{"log_statement": "all", "log_min_duration_statement": "0"}
	md5 := []string{"host all all 127.0.0.1/32 md5", "host replication all 127.0.0.1/32 md5"}
	p := &servers{}
	for server, major := range map[**pgserver.Server]int{&p.source: from, &p.target: to} {
		*server = pgserver.StartT(t, pgserver.Options{Major: major, Settings: logged, HBA: md5})
	}
	return p
}

// rolesSQL makes the roles of an application: an owner, a group that has the rights, a role that has them by
// membership alone, one that has no more than everybody, and one with an old password.
const rolesSQL = `set password_encryption = 'scram-sha-256';
create role shop_owner;
create role "Readers";
create role shop_app login password 'app-geheim' connection limit 17 in role "Readers";
create role "Odd 'Role'}" login noinherit password 'odd-geheim' valid until '2049-01-01 00:00:00+00';
comment on role "Odd 'Role'}" is 'it''s "odd"';
create role shop_admin login createdb createrole bypassrls replication password 'admin-geheim';
grant "Readers" to shop_admin with admin option;
grant pg_monitor to shop_admin;
create role nobody_uses_it;
set password_encryption = 'md5';
create role old_timer login password 'old-geheim';
create table goods (id int primary key, name text);
alter table goods owner to shop_owner;
grant select on goods to "Readers";
alter default privileges for role shop_owner grant select on tables to "Readers";
alter default privileges for role shop_owner revoke execute on functions from public;
insert into goods values (1, 'bread');
`

// settingsSQL sets what clients notice; %[1]s is the database.
const settingsSQL = `
alter database %[1]s set search_path to "$user", 'Odd, schema', public;
alter database %[1]s set timezone to 'Pacific/Auckland';
alter role shop_app set statement_timeout to '123s';
alter role shop_app in database %[1]s set work_mem to '7MB';
alter role "Odd 'Role'}" set search_path to 'it''s', "Two""quotes";
alter role "Odd 'Role'}" set myapp.note to 'a, b\c';
alter role shop_app set default_transaction_read_only to on;
alter database %[1]s set default_transaction_read_only to on;
alter role old_timer set myapp.tenant to 'seven';
`

var rolePasswords = map[string]string{"shop_app": "app-geheim", "Odd 'Role'}": "odd-geheim", "shop_admin": "admin-geheim", "old_timer": "old-geheim"}

// withRoles makes an upgrade whose source has the roles.
func (p *servers) withRoles(t *testing.T, sql string) *upgrade {
	t.Helper()
	u := p.upgrade(t, rolesSQL)
	u.source.run(fmt.Sprintf(settingsSQL, u.name) + sql)
	return u
}

// hashes are what the source's server stores of passwords, and the passwords themselves.
func (u *upgrade) hashes() []string {
	u.t.Helper()
	list := strings.Split(u.source.run("select rolpassword from pg_authid where rolpassword is not null and rolname <> 'postgres'"), "\n")
	if len(list) < 4 {
		u.t.Fatalf("%d passwords on the source", len(list))
	}
	return append(list, "geheim")
}

// keepsSecrets looks for hashes where none may be.
func (u *upgrade) keepsSecrets(where, text string, hashes []string) {
	u.t.Helper()
	for _, h := range hashes {
		if strings.Contains(text, h) {
			u.t.Errorf("%s holds %s…", where, h[:min(len(h), 20)])
		}
	}
}

// logs looks into the logs of the target, and of the source from the place on that the first look noted: the
// test itself has made the passwords there.
func (u *upgrade) logs(from int, hashes []string) {
	u.t.Helper()
	for _, s := range []*pgserver.Server{u.servers.source, u.servers.target} {
		text, err := s.Log()
		if err != nil {
			u.t.Fatal(err)
		}
		if s == u.servers.source {
			text = text[from:]
		}
		u.keepsSecrets(fmt.Sprintf("the log of PostgreSQL %d", s.Major), text, hashes)
	}
}

// roleState is all that a server knows of roles, of passwords too.
const roleState = `select 'role ' || r::text from (select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil from pg_authid) r
union all select 'member ' || a.member::regrole || ' of ' || a.roleid::regrole || ' ' || (to_jsonb(a) - 'oid')::text from pg_auth_members a
union all select 'setting ' || s::text from pg_db_role_setting s
union all select 'comment ' || objoid::regrole || description from pg_shdescription where classoid = 'pg_authid'::regclass
order by 1`

// sameRoles are the roles of both sides as pg_dumpall sees them, but for their passwords and who made a member.
func (u *upgrade) rolesByDumpall(uri string) string {
	u.t.Helper()
	cmd := exec.Command(filepath.Join(pgserver.ClientFolders()[0], "pg_dumpall"), "--roles-only", "--no-role-passwords", "-d", uri)
	cmd.Env = os.Environ()
	out, err := cmd.Output()
	if err != nil {
		u.t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ALTER ROLE") || strings.HasPrefix(line, "COMMENT") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// login connects as an application's role with its old password.
func login(t *testing.T, s *pgserver.Server, role, password, database string) *client {
	t.Helper()
	return connect(t, s.URIFor(role, password, database))
}

// TestRoles: with --roles and --settings an application finds everything on the new server: its login, its
// rights, its settings. No password and no hash is seen on the way, and the source's roles are let be.
func TestRoles(t *testing.T) {
	for _, pair := range [][2]int{{13, 18}, {10, 16}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) {
			u := roleServers(t, pair[0], pair[1]).withRoles(t, "")
			hashes := u.hashes()
			log, _ := u.servers.source.Log()
			before, dumped := u.source.run(roleState), dump(t, u.sourceURI)
			flags := []string{"--roles", "--settings"}
			shown := u.run(exitOK, append([]string{"check"}, flags...)...).says("pgleap creates it at the start of sync", "its password (scram)", "settings differ from the source's", "refuse the writes it is to take over").String()
			shown += u.run(exitOK, append([]string{"plan"}, flags...)...).says("schema.roles", "{{password:shop_app}}", "schema.memberships", "finish.settings", `'$user', 'Odd, schema', 'public'`).String()
			shown += u.run(exitOK, append([]string{"sync", "--verbose"}, flags...)...).String()
			u.keepsSecrets("the output", shown, hashes)
			u.keepsSecrets("the journal", u.target.run("select plan from pgleap.run union all select data::text from pgleap.event"), hashes)
			if strings.Contains(u.target.run("select rolname from pg_roles"), "nobody_uses_it") {
				t.Error("a role that nobody uses was carried")
			}
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name)
			u.run(exitOK, "finalize", "--confirm", u.name)
			u.logs(len(log), hashes)
			if now := u.source.run(roleState); now != before {
				t.Errorf("the source's roles have changed:\n%s\nthey were\n%s", now, before)
			}
			if dump(t, u.sourceURI) != dumped {
				t.Error("the source has changed")
			}
			judgeRoles(t, u)
		})
	}
}

func judgeRoles(t *testing.T, u *upgrade) {
	t.Helper()
	u.source.run("drop role nobody_uses_it; alter database " + u.name + " reset default_transaction_read_only")
	if want, got := u.rolesByDumpall(u.sourceURI), u.rolesByDumpall(u.targetURI); got != want {
		t.Errorf("roles of the target:\n%s\nof the source:\n%s", got, want)
	}
	for role, password := range rolePasswords {
		login(t, u.servers.target, role, password, u.name).is(role, "select current_user")
	}
	app := login(t, u.servers.target, "shop_app", "app-geheim", u.name)
	app.is("1|bread", "select * from public.goods")
	app.is("123s|7MB|on|Pacific/Auckland", "select current_setting('statement_timeout') , current_setting('work_mem'), current_setting('default_transaction_read_only'), current_setting('timezone')")
	app.is(`"$user", "Odd, schema", public`, "show search_path")
	odd := login(t, u.servers.target, "Odd 'Role'}", "odd-geheim", u.name)
	odd.is(`"it's", "Two""quotes"|a, b\c`, "select current_setting('search_path'), current_setting('myapp.note')")
	login(t, u.servers.target, "old_timer", "old-geheim", u.name).is("seven", "select current_setting('myapp.tenant')")
	login(t, u.servers.target, "shop_admin", "admin-geheim", u.name).run(`create role made_by_admin; grant "Readers" to made_by_admin; drop role made_by_admin; select * from pg_stat_activity`)
	const defaults = "select defaclrole::regrole, defaclobjtype, case grantee when 0 then 'public' else grantee::regrole::text end, privilege_type from pg_default_acl, aclexplode(defaclacl) where privilege_type <> 'MAINTAIN' order by defaclobjtype, grantee = defaclrole, privilege_type"
	u.target.is(u.source.run(defaults), defaults)
	const settings = "select setrole::regrole || case setdatabase when 0 then '' else ' here' end || setconfig::text from pg_db_role_setting where setdatabase in (0, (select oid from pg_database where datname = current_database())) order by 1"
	u.target.is(u.source.run(settings), settings)
}

// TestRolesTakenBack: abort drops the roles, memberships and settings that the run made, and no others: what
// the target had is then as it was, wherever the run was killed.
func TestRolesTakenBack(t *testing.T) {
	p := roleServers(t, 13, 18)
	u := p.withRoles(t, "create role there_too login; create role its_group; grant its_group to there_too; grant select on goods to there_too; alter role there_too set work_mem = '9MB';")
	u.target.run(`create role there_too login password 'other'; create role its_group; create role "Readers"; create role keeps_it; grant "Readers" to keeps_it; alter role there_too set lock_timeout = '5s'; alter role there_too set work_mem = '3MB';
		alter database ` + u.name + ` set timezone to 'UTC'`)
	before, source, dumped := u.target.run(roleState), u.source.run(roleState), dump(t, u.sourceURI)
	unchanged := func() {
		t.Helper()
		if now := u.target.run(roleState); now != before {
			t.Errorf("the target's roles:\n%s\nthey were\n%s", now, before)
		}
		if now := u.source.run(roleState); now != source || dump(t, u.sourceURI) != dumped {
			t.Errorf("the source's roles:\n%s\nthey were\n%s", now, source)
		}
	}
	sync := []string{"sync", "--roles", "--settings"}
	u.run(exitOK, sync...)
	u.target.is("9MB", "select split_part(c, '=', 2) from pg_db_role_setting, unnest(setconfig) c where setrole = 'there_too'::regrole and c like 'work_mem%'")
	u.target.is("t", "select pg_has_role('there_too', 'its_group', 'member')")
	u.run(exitOK, "abort")
	unchanged()
	for _, at := range []string{"schema.roles.before", "schema.roles.done", "schema.memberships.done", "finish.settings.before", "finish.settings.done"} {
		u.runWith([]string{killAt + "=" + at}, -1, sync...)
		u.run(exitOK, sync...) // goes on
		login(t, p.target, "shop_app", "app-geheim", u.name).is("1|bread", "select * from public.goods")
		u.run(exitOK, "abort")
		unchanged()
		u.runWith([]string{killAt + "=" + at}, -1, sync...)
		u.run(exitOK, "abort")
		unchanged()
	}
	u.run(exitOK, sync...)
	for _, at := range []string{"finish.settings.undone", "schema.memberships.undone", "schema.roles.undone"} {
		u.runWith([]string{killAt + "=" + at}, -1, "abort")
	}
	u.target.run("create role shop_app") // another run's, by now
	u.run(exitOK, "abort")
	u.target.is("1", "select count(*) from pg_roles where rolname = 'shop_app'")
	u.target.run("drop role shop_app")
	unchanged()

	u.run(exitOK, sync...)
	elsewhere := connect(t, p.target.URI("postgres"))
	elsewhere.run("create table theirs (id int); alter table theirs owner to shop_owner")
	u.run(exitOK, "abort").says("stays, because it is in use elsewhere on the target: drop role shop_owner")
	elsewhere.run("drop table theirs; drop role shop_owner")
	unchanged()
}

// TestRolesOfTwoRuns: the databases of one server share their roles, and so do their upgrades. The role that
// both need is made by one of them; an abort of that one does not take it away from the other.
func TestRolesOfTwoRuns(t *testing.T) {
	p := roleServers(t, 13, 18)
	one := p.withRoles(t, "")
	two := p.upgrade(t, "create table more (id int primary key); alter table more owner to shop_owner")
	saved := filepath.Join(t.TempDir(), "two.json")
	two.run(exitOK, "plan", "--roles", "--settings", "--out", saved)
	started := []*process{one.start(nil, "sync", "--roles", "--settings"), two.start(nil, "sync", "--plan", saved)}
	for _, s := range started {
		s.wait().exits(exitOK)
	}
	made := func(u *upgrade) bool {
		return strings.Contains(u.target.run("select data::text from pgleap.event where kind = 'made' and step = 'schema.roles'"), "shop_owner")
	}
	if made(one) == made(two) {
		t.Errorf("shop_owner was made by the first: %v, by the second: %v", made(one), made(two))
	}
	maker, other := one, two
	if made(two) {
		maker, other = two, one
	}
	maker.run(exitOK, "abort").says("stays, because it belongs to the whole server and other databases of the target may rely on it ("+other.name+")", "drop role shop_owner;")
	maker.target.is("0", "select count(*) from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())")
	other.run(exitOK, "cutover", "--confirm", other.name)
	other.run(exitOK, "finalize", "--confirm", other.name)
	other.target.is("1", "select count(*) from pg_class where relowner = 'shop_owner'::regrole and relkind = 'r'")
}

// TestRolesByHand: without the flags what is missing is told with statements that can be pasted; pasted, the check has
// nothing more to say.
func TestRolesByHand(t *testing.T) {
	u := roleServers(t, 13, 18).withRoles(t, "")
	before := u.target.run(roleState)
	u.run(exitBlocked, "check").says("role shop_owner is missing on the target", "--roles", "create role shop_owner;", "on the source it may log in to this database", `grant "Readers" to shop_app`, "--settings", "alter role shop_app set statement_timeout to '123s';", `password with \password`)
	u.run(exitBlocked, "sync")
	u.target.is(before, roleState)
	for _, f := range u.findings("roles") {
		if !strings.HasPrefix(f.SQL, `\`) && !strings.Contains(f.Problem, "not carried over") {
			u.target.run(f.SQL)
		}
	}
	u.target.run("alter role shop_app password 'x'; alter role shop_admin password 'x'; alter role old_timer password 'x'; alter role \"Odd 'Role'}\" password 'x'")
	for _, f := range u.findings("roles") {
		if !strings.Contains(f.Problem, "not carried over") {
			t.Errorf("still said: %+v", f)
		}
	}
}

// TestRolesOfAPlainRole: a role that may create roles, and no more, makes what it may; the rest is said before.
func TestRolesOfAPlainRole(t *testing.T) {
	p := roleServers(t, 14, 17)
	u := p.withRoles(t, "create role mighty superuser login password 'mighty-geheim'; alter schema public owner to shop_owner")
	u.target.run("create role mover login createrole createdb password 'mover'; grant pg_create_subscription to mover; alter database " + u.name + " owner to mover")
	before := u.target.run(roleState)
	plain := []string{"PGLEAP_TARGET=" + p.target.URIFor("mover", "mover", u.name)}
	o := u.runWith(plain, exitOK, "check", "--roles", "--settings").says(
		"role mighty has superuser on the source, which role mover may not give on the target", "passwords are not copied", "role shop_admin is not a member of pg_monitor on the target, and role mover may not make it one", "replication, bypassrls")
	if strings.Contains(o.stdout, "settings differ") && !strings.Contains(o.stdout, "myapp.tenant") {
		t.Errorf("a setting that only a superuser makes is not told:\n%s", o)
	}
	u.runWith(plain, exitOK, "sync", "--roles", "--settings")
	u.target.is("shop_owner", "select relowner::regrole::text from pg_class where relname = 'goods'")
	u.target.is("t", "select pg_has_role('shop_app', 'Readers', 'usage') and not rolsuper from pg_roles where rolname = 'mighty'")
	u.runWith(plain, exitOK, "abort")
	u.target.is(before, roleState)
	u.target.run("alter role mover nocreaterole")
	u.runWith(plain, exitBlocked, "check", "--roles").says("role mover may not create roles", "alter role mover createrole;")
}

// TestRolesAtSwitch: a role that came after sync is asked for before writes stop, a password that was changed is
// told; a membership's own options arrive, which it has from 16 on.
func TestRolesAtSwitch(t *testing.T) {
	u := roleServers(t, 16, 18).withRoles(t, `create role half login; grant "Readers" to half with admin true, inherit false, set false; grant shop_owner to half with inherit false;`)
	u.run(exitOK, "sync", "--roles", "--settings")
	const members = "select roleid::regrole, member::regrole, grantor::regrole, admin_option, inherit_option, set_option from pg_auth_members where member::regrole::text !~ '^pg_' order by roleid::regrole::text collate \"C\", member::regrole::text collate \"C\""
	u.target.is(u.source.run(members), members)
	hashes := u.hashes()
	u.source.run(`create role late_comer login password 'late-geheim' in role "Readers"; alter role old_timer password 'new-geheim'; alter role half set work_mem = '5MB'`)
	o := u.run(exitNotReady, "cutover", "--confirm", u.name).says("role late_comer is missing on the target", "writes were never stopped", "create role late_comer login;",
		"these passwords were changed since they were copied: old_timer", `\password old_timer`, "work_mem of role half: on the source 5MB, not set on the target")
	u.keepsSecrets("the output", o.String(), append(hashes, u.hashes()...))
	if strings.Contains(o.String(), "shop_admin") {
		t.Errorf("told of what has not changed:\n%s", o)
	}
	u.target.run(`create role late_comer login in role "Readers"; alter role old_timer password 'new-geheim'; alter role half set work_mem = '5MB'`)
	u.run(exitOK, "cutover", "--confirm", u.name)
}

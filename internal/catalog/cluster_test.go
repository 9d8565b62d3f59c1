package catalog_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// testCluster makes what surrounds a database, and looks whether it is read, and no password with it.
func testCluster(t *testing.T, server *pgserver.Server, db *pg.Source) {
	exec(t, db, "select pg_create_logical_replication_slot('debezium', 'pgoutput')")
	exec(t, db, "select pg_create_physical_replication_slot('standby_1')")
	exec(t, db, "create publication theirs for table app.plain; create publication everything for all tables")
	exec(t, db, "create subscription from_erp connection 'host=nowhere' publication p with (connect = false, slot_name = none)")
	exec(t, db, `create server near foreign data wrapper nowhere options (host 'localhost', password 'geheim 1');
		create user mapping for current_user server near options ("user" 'u', password 'geheim 2', aws_secret_access_key 'geheim 3');
		create user mapping for public server near options ("user" 'password')`)
	exec(t, db, "insert into pg_seclabel (objoid, classoid, objsubid, provider, label) values ('app.plain'::regclass, 'pg_class'::regclass, 0, 'selinux', 'x')")
	exec(t, db, `create role hasty; alter role hasty set lock_timeout = '1s'; alter role hasty set work_mem = '8MB'`)
	exec(t, db, `create collation app.german (provider = icu, locale = 'de')`)
	exec(t, db, "create database reports")

	f := read(t, db, plan.Source, "shop")
	c := f.Cluster
	same(t, "slots", c.Slots, []plan.Slot{{Name: "debezium", Database: "cat", Plugin: "pgoutput"}, {Name: "standby_1"}})
	same(t, "publications", []any{len(c.Publications), c.Publications[0].AllTables, c.Publications[1]}, []any{2, true, plan.Publication{Name: "theirs", Tables: 1}})
	same(t, "subscriptions", c.Subscriptions, []string{"from_erp"})
	same(t, "databases", c.Databases, []string{"reports"})
	same(t, "foreign servers", c.ForeignServers, []plan.ForeignServer{
		{Name: "away", Wrapper: "nowhere"},
		{Name: "near", Wrapper: "nowhere", Host: "localhost", Mappings: []plan.UserMapping{
			{User: "postgres", Secrets: []string{"password", "aws_secret_access_key"}}, {User: "public"},
		}},
	})
	same(t, "labels", c.Labels, []plan.Labels{{Provider: "selinux", Count: 1}})
	same(t, "timeouts of roles", c.RoleTimeouts, []plan.RoleTimeout{{Role: "hasty", Name: "lock_timeout", Setting: "1s"}})
	same(t, "tablespace", c.Tablespace, "pg_default")
	if l := c.Locale; l.Provider != "libc" || l.Collate != "C" || l.Ctype != "C" || l.Actual != "" || l.ICU == "" {
		t.Errorf("locale %+v", l)
	}
	if len(c.Collations) != 1 || c.Collations[0].Provider != "icu" || c.Collations[0].Recorded == "" || c.Collations[0].Recorded != c.Collations[0].Actual {
		t.Errorf("collations %+v", c.Collations)
	}
	if text, err := json.Marshal(f); err != nil || strings.Contains(string(text), "geheim") {
		t.Errorf("the facts hold a password (%v): %s", err, text)
	}
	testDefaults(t, server)
	exec(t, db, `drop server near cascade; drop publication theirs; drop publication everything; drop subscription from_erp; drop role hasty; drop collation app.german;
		delete from pg_seclabel where provider = 'selinux'`)
	exec(t, db, "select pg_drop_replication_slot(slot_name) from pg_replication_slots")
	exec(t, db, "drop database reports")
}

// testDefaults: what our own sessions ask for is not taken for what others get.
func testDefaults(t *testing.T, server *pgserver.Server) {
	t.Helper()
	a, err := pg.ParseAddress(server.URI("cat"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := pg.OpenClient(t.Context(), a, pg.Options{Verb: "test", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := catalog.ReadDefaults(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "search_path", got["search_path"], plan.ServerSetting{Setting: `"$user", public`, Shown: `"$user", public`, Source: "default"})
	same(t, "shared_buffers", got["shared_buffers"], plan.ServerSetting{Setting: "16384", Shown: "128MB", Source: "configuration file", Restart: true})
	same(t, "extra_float_digits", got["extra_float_digits"].Source, "default")
	for name := range got {
		if strings.Contains(name, "conninfo") || strings.Contains(name, "command") || strings.Contains(name, "ssl") {
			t.Errorf("%s may hold a secret", name)
		}
	}
}

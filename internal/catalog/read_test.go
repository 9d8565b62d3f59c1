package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

func testEmpty(t *testing.T, db *pg.Source) {
	side := plan.Target
	if db.Version().Major() == pgver.Oldest {
		side = plan.Source // never a target
	}
	f := read(t, db, side, "shop")
	same(t, "objects of an empty database", f.UserObjects, []string(nil))
	same(t, "relations of an empty database", len(f.Relations), 0)
	same(t, "leftovers of an empty database", len(f.Leftovers), 0)
	if !f.Version.Has(pgver.PublicSchemaClosed) { // public belongs to whoever made the cluster
		same(t, "roles used", f.RolesUsed, []string{"postgres"})
	}
}

func testServer(t *testing.T, f plan.Facts) {
	same(t, "database", f.Database, "cat")
	same(t, "encoding", f.Encoding, "UTF8")
	same(t, "wal_level", f.Settings["wal_level"], "logical")
	same(t, "schemas", f.Schemas, []string{"Odd Schema", "app", "other", "public"})
	same(t, "large objects", f.LargeObjects, int64(2))
	same(t, "role", f.Role, plan.Role{
		Name: "postgres", Superuser: true, Replication: true, CreateOnDatabase: true, CreateSubscription: true, BypassRLS: true, SeesSessions: true,
	})
	if f.SystemID == "" || f.Address == "" || f.Settings["max_worker_processes"] == "" || f.Recovery || f.ReadOnly {
		t.Errorf("system id %q, address %q, settings %v, recovery %v, read only %v", f.SystemID, f.Address, f.Settings, f.Recovery, f.ReadOnly)
	}
	if _, ok := f.Settings["statement_timeout"]; ok {
		t.Error("a setting of our own session is taken for the server's")
	}
	if len(f.Extensions) != 1 || f.Extensions[0].Name != "plpgsql" || f.Extensions[0].Schema != "pg_catalog" {
		t.Errorf("extensions %v", f.Extensions)
	}
}

func testRelations(t *testing.T, f plan.Facts) {
	for name, kind := range map[string]string{
		"plain": "r", "root": "p", "root_1": "r", "root_2": "p", "view_1": "v", "mat_1": "m", "remote": "f", "no_columns": "r",
		`Odd Schema|Ta.ble "x"`: "r", "Odd Schema|new\nline": "r",
	} {
		same(t, name+" kind", relation(t, f, name).Kind, kind)
	}
	root := app("root")[0]
	for _, leaf := range []string{"root_1", "root_2", "root_2_a"} {
		r := relation(t, f, leaf)
		same(t, leaf+" root", r.Root, &root)
		same(t, leaf+" partition", r.Partition, true)
	}
	same(t, "root of the root", relation(t, f, "root").Root, (*plan.Name)(nil))
	same(t, "parents of a leaf", relation(t, f, "root_2_a").Parents, app("root_2"))
	child := relation(t, f, "inh_child")
	same(t, "inheritance", child.Parents, app("inh_parent"))
	same(t, "inheritance is no partition", child.Partition, false)

	for name, depth := range map[string]int{"mat_0": 0, "mat_2": 0, "mat_1": 1} {
		same(t, name+" depth", relation(t, f, name).Depth, depth)
	}
	same(t, "a filled view", relation(t, f, "mat_1").Populated, true)
	same(t, "a deferrable key", relation(t, f, "deferrable_key").DeferrableKey, true)
	same(t, "a key that is not deferrable", relation(t, f, "plain").DeferrableKey, false)
	same(t, "a view that is not filled", relation(t, f, "mat_0").Populated, false)
	same(t, "what a view uses", relation(t, f, "view_2").Uses, app("mat_2"))

	same(t, "unlogged", relation(t, f, "cache").Persistence, "u")
	same(t, "rls", relation(t, f, "guarded").RLS, true)
	plain := relation(t, f, "plain")
	same(t, "rows", plain.Rows, int64(1000))
	same(t, "never analyzed", relation(t, f, "no_key").Rows, int64(0))
	if plain.Bytes < 100_000 || plain.IndexBytes < 50_000 {
		t.Errorf("sizes of app.plain: %d, indexes %d", plain.Bytes, plain.IndexBytes)
	}
	if !f.Version.Has(pgver.RelationOIDs) {
		same(t, "with oids", relation(t, f, "with_oids").WithOIDs, true)
	}
	same(t, "without oids", plain.WithOIDs, false)
	for _, r := range f.Relations {
		if r.Name.Schema == "pg_catalog" || r.Name.Schema == "information_schema" || strings.HasPrefix(r.Name.Schema, "pg_") {
			t.Errorf("%s is the system's", r.Name)
		}
	}

	keys := []plan.ForeignKey{
		{Name: "plain_self", From: app("plain")[0], To: app("plain")[0]},
		{Name: "child_p_fkey", From: plan.Name{Schema: "other", Name: "child"}, To: app("plain")[0]},
	}
	if f.Version.Has(pgver.IndexInclude) { // a partitioned table can have one from 11 on: once, not per leaf
		keys = slices.Insert(keys, 1, plan.ForeignKey{Name: "root_ref", From: root, To: app("plain")[0]})
	}
	same(t, "foreign keys", f.ForeignKeys, keys)
}

func testIdentity(t *testing.T, f plan.Facts) {
	type identity struct {
		Usable                    bool
		Index, Candidate, Primary string
		Generated, NoEquality     []string
	}
	want := map[string]identity{
		"plain":          {Usable: true, Index: "plain_pkey", Candidate: "plain_pkey", Primary: "plain_pkey"},
		"no_key":         {},
		"no_columns":     {},
		"full_json":      {Usable: true, NoEquality: []string{"j", "p", "d", "b", "jj"}},
		"full_key":       {Usable: true, Candidate: "full_key_pkey", Primary: "full_key_pkey", NoEquality: []string{"j"}},
		"nothing":        {Candidate: "nothing_pkey", Primary: "nothing_pkey"},
		"by_index":       {Usable: true, Index: "by_index_ab", Candidate: "by_index_ab"},
		"index_gone":     {},
		"deferrable_key": {},
		"candidate":      {Candidate: "candidate_narrow"},
		"root_1":         {Usable: true, Index: "root_1_pkey", Candidate: "root_1_pkey", Primary: "root_1_pkey"},
		"root_2_a":       {},
		"inh_child":      {},
	}
	if f.Version.Has(pgver.GeneratedColumns) {
		strict := f.Version.Has(pgver.GeneratedIdentity)
		want["gen_key"] = identity{Usable: !strict, Index: "gen_key_g", Generated: []string{"g"}}
		want["gen_full"] = identity{Usable: true}
		if strict {
			want["gen_full"] = identity{Generated: []string{"g"}}
		}
	}
	if f.Version.Has(pgver.IndexInclude) {
		want["including"] = identity{Usable: true, Index: "including_a", Candidate: "including_a"}
	}
	for name, w := range want {
		r := relation(t, f, name)
		got := identity{r.IdentityUsable, r.IdentityIndex, r.IdentityCandidate, r.PrimaryKey, r.IdentityGenerated, r.NoEquality}
		same(t, name, got, w)
	}
}

// testPublishes asks PostgreSQL itself: once everything is published, a delete fails exactly where
// IdentityUsable says so. And what we propose as a candidate is accepted.
func testPublishes(t *testing.T, db *pg.Source, f plan.Facts) {
	exec(t, db, "create publication everything for all tables")
	defer exec(t, db, "drop publication everything")
	for _, r := range f.Relations {
		if !r.Published() {
			continue
		}
		_, err := db.Exec(t.Context(), "delete from only "+r.Name.String()+" where false")
		if accepted := err == nil; accepted != r.IdentityUsable {
			t.Errorf("%s: usable is %v, but a delete says: %v", r.Name, r.IdentityUsable, err)
		}
		if r.IdentityCandidate == "" {
			continue
		}
		exec(t, db, "begin")
		exec(t, db, "alter table "+r.Name.String()+" replica identity using index "+plan.QuoteIdent(r.IdentityCandidate))
		exec(t, db, "delete from only "+r.Name.String()+" where false")
		exec(t, db, "rollback")
	}
}

func testColumns(t *testing.T, f plan.Facts) {
	same(t, "columns of app.no_key", relation(t, f, "no_key").Columns, []plan.Column{
		{Name: "a", Type: "integer"},
		{Name: "b", Type: "character varying(10)"},
		{Name: "c", Type: "app.mood"},
		{Name: "d", Type: "app.email"},
		{Name: "e", Type: "int4range"},
		{Name: "f", Type: "app.pair"},
		{Name: "g", Type: "text[]"},
		{Name: "h", Type: "inet"},
		{Name: "i", Type: "uuid"},
	})
	same(t, "identity columns", relation(t, f, "ident").Columns, []plan.Column{
		{Name: "id", Type: "bigint", NotNull: true, Identity: "a"}, {Name: "n", Type: "integer", NotNull: true, Identity: "d"},
	})
	if f.Version.Has(pgver.GeneratedColumns) {
		same(t, "generated column", relation(t, f, "gen_full").Columns[1], plan.Column{Name: "g", Type: "integer", Generated: "s"})
	}
	same(t, "no columns", len(relation(t, f, "no_columns").Columns), 0)
	same(t, "columns of a foreign table", len(relation(t, f, "remote").Columns), 1)
}

func testSequences(t *testing.T, f plan.Facts) {
	owned := map[string]string{}
	for _, s := range f.Sequences {
		owner := ""
		if s.OwnedBy != nil {
			owner = s.OwnedBy.String()
		}
		owned[s.Name.String()] = owner
	}
	same(t, "owners of sequences", owned, map[string]string{
		"app.alone": "", "other.alone": "", "app.ident_id_seq": "app.ident", "app.ident_n_seq": "app.ident", "app.ser_id_seq": "app.ser",
		`"Odd Schema"."Ta.ble ""x""_id_seq"`: `"Odd Schema"."Ta.ble ""x"""`,
	})
	i := slices.IndexFunc(f.Sequences, func(s plan.Sequence) bool { return s.Name == app("alone")[0] })
	same(t, "app.alone", f.Sequences[i], plan.Sequence{
		Name: app("alone")[0], Type: "integer", Start: -1, Increment: -2, Min: -100, Max: -1, Cache: 5, Cycle: true,
	})
}

func testRoles(t *testing.T, f plan.Facts) {
	same(t, "roles", f.Roles, []string{`Odd "Role"`, "cat_owner", "cat_reader", "postgres"})
	same(t, "roles used", f.RolesUsed, []string{`Odd "Role"`, "cat_owner", "cat_reader", "postgres"})
}

// testPlainRole reads as a role without any attribute: everything but the rights is the same.
func testPlainRole(t *testing.T, server *pgserver.Server, super plan.Facts) {
	db := open(t, server.URI("cat"))
	exec(t, db, "alter role cat_reader login password 'r'; grant select on app.plain to cat_reader; grant select on app.guarded to cat_reader; grant cat_owner to cat_reader; "+
		"alter table app.ser owner to cat_owner")
	f := read(t, open(t, server.URIFor("cat_reader", "r", "cat")), plan.Source, "shop")
	role := f.Role
	for _, c := range []struct {
		what      string
		list      []string
		has, miss string
	}{
		{"not owned", role.NotOwned, "app.plain", "app.ser"},
		{"not readable", role.NotReadable, `"Odd Schema"."Ta.ble ""x"""`, "app.plain"},
		{"filtered", role.Filtered, "app.guarded", "app.plain"},
		{"sequences", role.SequencesNotReadable, "other.alone", "app.ser_id_seq"},
		{"member of", role.MemberOf, "cat_owner", "postgres"},
		{"not owned: roots, which are fenced too", role.NotOwned, "app.root", "app.view_1"},
	} {
		if !slices.Contains(c.list, c.has) || slices.Contains(c.list, c.miss) {
			t.Errorf("%s: %q; want %s in it and not %s", c.what, c.list, c.has, c.miss)
		}
	}
	if role.Superuser || role.Replication || role.CreateOnDatabase || role.CreateSubscription || role.BypassRLS || role.SeesSessions {
		t.Errorf("rights of a plain role: %+v", role)
	}
	owner := relation(t, super, "ser")
	owner.Owner = "cat_owner"
	super.Relations[slices.IndexFunc(super.Relations, func(r plan.Relation) bool { return r.Name == owner.Name })] = owner
	for _, relations := range [][]plan.Relation{f.Relations, super.Relations} {
		for i := range relations { // the counters move by themselves, and statistics are seen of what may be read
			relations[i].Changes, relations[i].Disorder = 0, false
		}
	}
	same(t, "relations as a plain role", f.Relations, super.Relations)
	same(t, "sequences as a plain role", f.Sequences, super.Sequences)
	same(t, "system id as a plain role", f.SystemID, super.SystemID)
	same(t, "roles used as a plain role", f.RolesUsed, super.RolesUsed)

	exec(t, db, "alter role cat_reader replication; grant create on database cat to cat_reader; grant pg_read_all_stats to cat_reader")
	role = read(t, open(t, server.URIFor("cat_reader", "r", "cat")), plan.Source, "shop").Role
	if !role.Replication || !role.CreateOnDatabase || !role.SeesSessions {
		t.Errorf("rights after the grants: %+v", role)
	}
}

package plan

import "fmt"

var surroundingCases = map[string][]checkCase{
	"foreign-slots": {
		{"logical", func(s, _ *Facts, _ *Options) {
			s.Cluster.Slots = []Slot{{Name: "debezium", Database: "shop", Plugin: "pgoutput", Active: true}}
		}, Warning, "slot debezium (pgoutput) belongs to somebody else; it is being read\n", "select pg_drop_replication_slot('debezium');…"},
		{"subscription", func(s, _ *Facts, _ *Options) { s.Cluster.Subscriptions = []string{"from_erp"} }, Warning, "subscription from_erp brings rows of another server into this database", "copy_data = false…"},
		{"subscription on the target", func(_, t *Facts, _ *Options) { t.Cluster.Subscriptions = []string{"from_erp"} }, Warning, "into the target's database", "alter subscription from_erp disable;"},
		{"standby", func(s, _ *Facts, _ *Options) { s.Cluster.Standbys = 2 }, Info, "2 physical standby or slots", "build the standbys of the target…"},
		{"physical", func(s, _ *Facts, _ *Options) { s.Cluster.Slots = []Slot{{Name: "standby1"}} }, Info, "the source has 1 physical standby or slot\n", ""},
	},
	"publications": {
		{"unread", func(s, _ *Facts, _ *Options) { s.Cluster.Publications = []Publication{{Name: "p", Tables: 2}} }, Info, "publication p of 2 tables is not carried over", ""},
		{"read", func(s, _ *Facts, _ *Options) {
			s.Cluster.Publications, s.Cluster.Slots = []Publication{{Name: "p", Tables: 2}}, []Slot{{Name: "s", Plugin: "wal2json"}}
		}, Warning, "publication p of 2 tables is not carried over", ""},
		{"everything", func(s, _ *Facts, _ *Options) { s.Cluster.Publications = []Publication{{Name: "p", AllTables: true}} }, Info, "publication p FOR ALL TABLES", "create publication p for all tables;"},
		{"everything, to a server", func(s, _ *Facts, _ *Options) {
			s.Cluster.Publications, s.Cluster.Slots = []Publication{{Name: "p", AllTables: true}}, []Slot{{Name: "s", Plugin: "pgoutput"}}
		}, Warning, "meets pgleap's marker table", "create schema pgleap; create table pgleap.marker (id bigint not null, run text not null, at timestamptz not null);"},
		{"everything, to a server, on lanes", func(s, _ *Facts, o *Options) {
			s.Cluster.Publications, s.Cluster.Slots, o.Lanes = []Publication{{Name: "p", AllTables: true}}, []Slot{{Name: "s", Plugin: "pgoutput"}}, 2
		}, Warning, "meets pgleap's marker table", "create schema pgleap; create table pgleap.marker (id bigint not null, run text not null, at timestamptz not null); create table pgleap.marker_2 (id bigint not null, run text not null, at timestamptz not null);"},
	},
	"other-databases": {
		{"one", func(s, _ *Facts, _ *Options) { s.Cluster.Databases = []string{"reports"} }, Warning, "1 database besides shop: reports\nthis run does not move what is in there: it stays", "a run of its own…"},
		{"many", func(s, _ *Facts, _ *Options) {
			for i := range 22 {
				s.Cluster.Databases = append(s.Cluster.Databases, fmt.Sprintf("d%02d", i))
			}
		}, Warning, "d19 and 2 more\n", ""},
		{"on the target", func(_, t *Facts, _ *Options) { t.Cluster.Databases = []string{"reports"} }, "", "", ""},
	},
	"foreign-servers": {
		{"elsewhere", func(s, _ *Facts, _ *Options) {
			s.Cluster.ForeignServers = []ForeignServer{{"far", "postgres_fdw", "erp.example", nil}}
		}, Info, "foreign server far (postgres_fdw at erp.example) is carried over", ""},
		{"here", func(s, _ *Facts, _ *Options) {
			s.Cluster.ForeignServers = []ForeignServer{{"near", "postgres_fdw", "localhost", nil}}
		}, Warning, "foreign server near (postgres_fdw at localhost) is on the source's own machine", "alter server near options (set host 'HOST');"},
		{
			"password", func(s, _ *Facts, _ *Options) {
				s.Cluster.ForeignServers = []ForeignServer{{"far", "postgres_fdw", "erp.example", []UserMapping{{"app", []string{"password"}}, {"Ann", nil}, {"public", []string{"password", "sslpassword"}}}}}
			}, Warning, "passwords of the user mappings of foreign server far (app, public) are not carried over",
			"alter user mapping for app server far options (add password '…');\nalter user mapping for public server far options (add password '…', add sslpassword '…');",
		},
		{"socket", func(s, _ *Facts, _ *Options) {
			s.Cluster.ForeignServers = []ForeignServer{{"near", "postgres_fdw", "", nil}}
		}, Warning, "is on the source's own machine", "alter server near options (add host 'HOST');"},
	},
	"tablespaces": {
		{"missing", func(s, _ *Facts, _ *Options) {
			s.Cluster.Tablespaces = []Tablespace{{"fast", "/ssd", true, []Name{{"public", "a"}, {"public", "b"}}}}
		}, Blocker, "tablespace fast of public.a and 1 more (/ssd) is missing on the target", "create tablespace fast location '/ssd';"},
		{"not allowed", func(s, t *Facts, _ *Options) {
			s.Cluster.Tablespaces = []Tablespace{{"fast", "/ssd", true, []Name{{"public", "a"}}}}
			t.Cluster.Tablespaces = []Tablespace{{"fast", "/nvme", false, nil}}
		}, Blocker, "role postgres may not create in tablespace fast", "grant create on tablespace fast to postgres;"},
		{"there", func(s, t *Facts, _ *Options) {
			s.Cluster.Tablespaces = []Tablespace{{"fast", "/ssd", true, []Name{{"public", "a"}}}}
			t.Cluster.Tablespaces = []Tablespace{{"fast", "/nvme", true, nil}}
		}, Info, "under the same name: /nvme", ""},
		{"left out", func(s, _ *Facts, o *Options) {
			s.Cluster.Tablespaces = []Tablespace{{"fast", "/ssd", true, []Name{{"public", "a"}}}}
			o.ExcludeTables = []string{"public.a"}
		}, "", "", ""},
		{"of another database", func(s, _ *Facts, _ *Options) { s.Cluster.Tablespaces = []Tablespace{{"fast", "/ssd", true, nil}} }, "", "", ""},
		{"of the database", func(s, t *Facts, _ *Options) { s.Cluster.Tablespace, t.Cluster.Tablespace = "fast", "pg_default" }, Info, "lives in tablespace fast, the target's in pg_default", ""},
	},
	"security-labels": {
		{"carried", func(s, _ *Facts, _ *Options) { s.Cluster.Labels = []Labels{{"selinux", 2, 0}} }, Warning, "2 security labels of provider selinux are carried over", "load the library…"},
		{"shared", func(s, _ *Facts, _ *Options) { s.Cluster.Labels = []Labels{{"selinux", 0, 1}} }, Info, "1 security label of provider selinux on roles", ""},
		{"loaded already", func(s, t *Facts, _ *Options) { s.Cluster.Labels = []Labels{{"selinux", 2, 0}}; own(s, t) }, "", "", ""},
	},
}

package plan

// bare takes every key from the first table.
func bare(s *Facts) *Relation {
	r := &s.Relations[0]
	r.IdentityUsable, r.IdentityIndex, r.PrimaryKey, r.IdentityCandidate = false, "", "", ""
	return r
}

// full gives the first table REPLICA IDENTITY FULL and no key.
func full(s *Facts) *Relation {
	r := bare(s)
	r.Identity, r.IdentityUsable = "f", true
	return r
}

func fk(s *Facts, from, to string) {
	s.ForeignKeys = append(s.ForeignKeys, ForeignKey{"k", Name{"public", from}, Name{"public", to}})
}

var objectCases = map[string][]checkCase{
	"replica-identity": {
		{"none", func(s, _ *Facts, _ *Options) { bare(s) }, Blocker, "public.a has no primary key and no replica identity\nwith a publication its UPDATEs and DELETEs would FAIL on the source", "alter table public.a replica identity full;"},
		{"says the price", func(s, _ *Facts, _ *Options) { bare(s) }, Blocker, "public.a", "reads about 500,000 rows on the target…"},
		{"index", func(s, _ *Facts, _ *Options) { bare(s).IdentityCandidate = "A uk" }, Blocker, "public.a has no primary key and", `alter table public.a replica identity using index "A uk";`},
		{"nothing, with a key", func(s, _ *Facts, _ *Options) {
			r := bare(s)
			r.Identity, r.PrimaryKey, r.IdentityCandidate = "n", "a_pkey", "a_pkey"
		}, Blocker, "replica identity nothing", "alter table public.a replica identity default;"},
		{"deferrable key", func(s, _ *Facts, _ *Options) { bare(s).DeferrableKey = true }, Blocker, "a deferrable primary key, which cannot", "alter table public.a replica identity full;"},
		{"index is gone", func(s, _ *Facts, _ *Options) { bare(s).Identity = "i" }, Blocker, "an index that is gone or invalid", "alter table public.a replica identity full;"},
		{"no equality", func(s, _ *Facts, _ *Options) { bare(s).NoEquality = []string{"j"} }, Blocker, "public.a", "add a primary key: replica identity full cannot work, because columns (j)…"},
		{"generated", func(s, _ *Facts, _ *Options) { s.Relations[0].IdentityGenerated = []string{"g"} }, Blocker, "has a generated column (g)\ngenerated columns are not replicated", "alter table public.a replica identity default;"},
		{"generated on 18", func(s, t *Facts, o *Options) {
			s.Version, o.SameMajor = version(18), true
			r := full(s)
			r.IdentityUsable, r.IdentityGenerated, r.Columns = false, []string{"g"}, []Column{{Name: "g", Generated: "s"}}
		}, Blocker, "would FAIL on the source", "not generated…"},
		{"on conflict before 13", func(s, _ *Facts, _ *Options) { s.Version = version(12); bare(s) }, Blocker, "ON CONFLICT would be lost in silence", "alter table public.a replica identity full;"},
		{"odd name", func(s, _ *Facts, _ *Options) { bare(s).Name.Name = "new\nline" }, Blocker, `public."new\nline" has no`, "alter table public.\"new\nline\" replica identity full;"},
		{"left out", func(s, _ *Facts, o *Options) { bare(s); o.ExcludeTables = []string{"a"} }, "", "", ""},
		{"unlogged", func(s, _ *Facts, _ *Options) { bare(s).Persistence = "u" }, "", "", ""},
		{"of an extension", func(s, _ *Facts, _ *Options) { bare(s).Extension = "postgis" }, "", "", ""},
		{"full", func(s, _ *Facts, _ *Options) { full(s) }, "", "", ""},
	},
	"identity-full": {
		{"to 18", func(s, _ *Facts, _ *Options) { full(s) }, Warning, "public.a has replica identity full\neach UPDATE and DELETE reads about 500,000 rows on the target, unless", ""},
		{"to 15", func(s, t *Facts, _ *Options) { t.Version = version(15); full(s) }, Warning, "indexes help from PostgreSQL 16 on only", ""},
		{"with an index", func(s, _ *Facts, _ *Options) { full(s).IdentityCandidate = "a_uk" }, Warning, "replica identity full", "alter table public.a replica identity using index a_uk;"},
		{"no equality", func(s, _ *Facts, _ *Options) { full(s).NoEquality = []string{"j", "p"} }, Blocker, "no equality (j, p)", ""},
		{"no equality, an index", func(s, _ *Facts, _ *Options) { r := full(s); r.NoEquality, r.IdentityCandidate = []string{"j"}, "a_uk" }, Blocker, "no equality (j)", "alter table public.a replica identity using index a_uk;"},
		{"a primary key is enough", func(s, _ *Facts, _ *Options) { r := full(s); r.PrimaryKey, r.NoEquality = "a_pkey", []string{"j"} }, "", "", ""},
	},
	"large-objects": {
		{"some", func(s, _ *Facts, _ *Options) { s.LargeObjects = 12345 }, Blocker, "12,345 large objects", ""},
	},
	"unlogged-tables": {
		{"one", func(s, _ *Facts, _ *Options) { s.Relations[0].Persistence = "u" }, Warning, "public.a is unlogged", "alter table public.a set logged;"},
		{"left out", func(s, _ *Facts, o *Options) { s.Relations[0].Persistence, o.ExcludeTables = "u", []string{"a"} }, "", "", ""},
	},
	"foreign-tables": {
		{"one", func(s, _ *Facts, _ *Options) { s.Relations[0].Kind = "f" }, Info, "public.a is a foreign table", ""},
		{"left out", func(s, _ *Facts, o *Options) { s.Relations[0].Kind, o.ExcludeTables = "f", []string{"a"} }, "", "", ""},
	},
	"extension-data": {
		{"user rows", func(s, _ *Facts, _ *Options) {
			s.ExtensionData = []ExtensionTable{{Name{"cron", "job"}, "pg_cron", true}}
		}, Warning, "cron.job of extension pg_cron holds rows of yours\ntables of extensions are not replicated", "copy them by hand…"},
		{"added later", func(s, _ *Facts, _ *Options) {
			s.ExtensionData = []ExtensionTable{{Name{"public", "a\nb"}, "my-ext", false}}
		}, Warning, `public."a\nb" was added to extension "my-ext" and holds rows`, "alter extension \"my-ext\" drop table public.\"a\nb\";"},
		{"of the target", func(_, t *Facts, _ *Options) {
			t.ExtensionData = []ExtensionTable{{Name{"cron", "job"}, "pg_cron", true}}
		}, "", "", ""},
	},
	"selection": {
		{"no such table", func(_, _ *Facts, o *Options) { o.Tables = []string{"nonsense"} }, Blocker, "--tables nonsense matches no table", "check the spelling…"},
		{"all tables but not all", func(_, _ *Facts, o *Options) { o.AllTables, o.Tables = true, []string{"a"} }, Blocker, "not everything is selected", ""},
		{"a view without its table", func(s, _ *Facts, o *Options) {
			s.Relations = append(s.Relations, Relation{Name: Name{"public", "v"}, Kind: "v", Uses: []Name{{"public", "b"}, {"public", "a"}}})
			o.ExcludeTables = []string{"a"}
		}, Blocker, "view public.v reads public.a, which is left out", ""},
		{"a view that is left out too", func(s, _ *Facts, o *Options) {
			s.Relations = append(s.Relations, Relation{Name: Name{"public", "v"}, Kind: "v", Uses: []Name{{"public", "a"}}})
			o.ExcludeTables = []string{"a", "v"}
		}, Info, "1 table left out on purpose: public.a", ""},
	},
	"selection-fks": {
		{"leaves", func(s, _ *Facts, o *Options) { fk(s, "a", "b"); o.ExcludeTables = []string{"b"} }, Blocker, "foreign key k of public.a points to public.b, which is left out", ""},
		{"comes in", func(s, _ *Facts, o *Options) { fk(s, "a", "b"); o.Tables = []string{"b"} }, Warning, "public.b is selected, and public.a, which points to it", ""},
		{"within", func(s, _ *Facts, o *Options) { fk(s, "a", "b"); o.ExcludeTables = []string{"c"} }, "", "", ""},
		{"outside", func(s, _ *Facts, o *Options) { fk(s, "a", "b"); o.Tables = []string{"c"} }, "", "", ""},
	},
}

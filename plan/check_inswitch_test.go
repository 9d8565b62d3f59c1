package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// large gives the first table that many megabytes.
func large(s *Facts, megabytes int64) *Relation {
	s.Relations[0].Bytes = megabytes << 20
	return &s.Relations[0]
}

var inSwitchCases = map[string][]checkCase{
	"unlogged-tables": {
		{"copied", func(s, _ *Facts, o *Options) { large(s, 3).Persistence, o.CopyInSwitch = "u", true }, Info, "public.a is unlogged: it will be copied in the switch: 3 MB, about 305 ms", ""},
		{"too large", func(s, _ *Facts, o *Options) { large(s, 30).Persistence, o.CopyInSwitch = "u", true }, Blocker, "public.a: 30 MB are to be copied in the switch: about 3 s, and half of --max-write-stall is 2.5 s\n", "or let writes stand still for longer: --max-write-stall 7s…"},
		{"a budget that is large enough", func(s, _ *Facts, o *Options) {
			large(s, 30).Persistence, o.CopyInSwitch, o.MaxWriteStall = "u", true, 10e9
		}, Info, "about 3 s", ""},
		{"refers to what can be truncated", func(s, _ *Facts, o *Options) {
			s.Relations[0].Persistence, o.CopyInSwitch = "u", true
			fk(s, "a", "b")
		}, Warning, "a TRUNCATE of public.b would travel there alone", ""},
		{"without the flag", func(s, _ *Facts, _ *Options) { large(s, 60).Persistence = "u" }, Warning, "its rows do not", "alter table public.a set logged;"},
		{"in a circle", func(s, t *Facts, o *Options) {
			s.Relations[0].Persistence, s.Relations[1].Persistence, o.CopyInSwitch = "u", "u", true
			t.Role.Superuser = false
			fk(s, "a", "b")
			fk(s, "b", "a")
		}, Blocker, "its foreign keys run in a circle", ""},
	},
	"replica-identity": {
		{"copied", func(s, _ *Facts, o *Options) { bare(s); o.CopyInSwitch = true }, Info, "public.a has no usable replica identity: it will be copied in the switch", ""},
		{"proposed", func(s, _ *Facts, _ *Options) { bare(s); large(s, 1) }, Blocker, "FAIL on the source", "alter table public.a replica identity full;"},
		{"proposed, in words", func(s, _ *Facts, _ *Options) { bare(s); large(s, 1) }, Blocker, "FAIL on the source", "copy it while writes stand still (--copy-in-switch, about 105 ms), or…"},
		{"too large", func(s, _ *Facts, o *Options) { bare(s); large(s, 600); o.CopyInSwitch = true }, Blocker, "public.a: 600 MB are to be copied", "--set-replica-identity…"},
		{"both are too much", func(s, _ *Facts, o *Options) {
			bare(s)
			large(s, 15)
			s.Relations[1].Persistence, s.Relations[1].Bytes, o.CopyInSwitch = "u", 15<<20, true
		}, Blocker, "public.a: 15 MB are to be copied in the switch: about 1.5 s, 3 s with all", ""},
		{"referred to", func(s, _ *Facts, o *Options) { bare(s); fk(s, "b", "a"); o.CopyInSwitch = true }, Blocker, "FAIL on the source", "alter table public.a replica identity full;"},
		{"everything is published", func(s, _ *Facts, o *Options) { bare(s); o.CopyInSwitch, o.AllTables = true, true }, Blocker, "FAIL on the source", "alter table public.a replica identity full;"},
		{"full that cannot work", func(s, _ *Facts, o *Options) { full(s).NoEquality, o.CopyInSwitch = []string{"j"}, true }, Info, "will be copied in the switch", ""},
	},
	"large-objects": {
		{"copied", func(s, _ *Facts, o *Options) {
			s.LargeObjects, s.Definitions.LargeObjects.Bytes, o.CopyInSwitch = 10, 8<<20, true
		}, Info, "the database has 10 large objects: they will be copied in the switch: 8 MB, about 1 s", ""},
		{"too large", func(s, _ *Facts, o *Options) {
			s.LargeObjects, s.Definitions.LargeObjects.Bytes, o.CopyInSwitch = 10, 80<<20, true
		}, Blocker, "10 large objects, 80 MB, are to be copied in the switch: about 10 s", "vacuumlo…"},
		{"unreadable", func(s, _ *Facts, o *Options) {
			s.LargeObjects, s.Role.Superuser, o.CopyInSwitch = 10, false, true
			s.Definitions.LargeObjects = LargeObjects{Unreadable: 3, Example: 77, ExampleOf: "App"}
		}, Blocker, `role postgres may not read 3 of the large objects, such as 77 of "App"`, `grant "App" to postgres;`},
		{"on the target", func(_, t *Facts, o *Options) { t.LargeObjects, o.CopyInSwitch = 2, true }, Blocker, "the target has 2 large objects already", "select lo_unlink(oid) from pg_largeobject_metadata;"},
		{"on the target, ours", func(s, t *Facts, o *Options) { own(s, t); t.LargeObjects, o.CopyInSwitch = 2, true }, "", "", ""},
		{"owner", func(s, _ *Facts, o *Options) {
			s.LargeObjects, s.Definitions.LargeObjects.Owners, o.CopyInSwitch = 1, []string{"gone"}, true
		}, Blocker, "large objects belong to gone, which the target does not have", ""},
		{"begun without the flag", func(s, t *Facts, _ *Options) { own(s, t); s.LargeObjects = 1 }, Blocker, "MISSING", "begin anew with --copy-in-switch…"},
	},
	"privileges": {
		{"an unlogged table of another", func(s, _ *Facts, _ *Options) {
			s.Relations[0].Persistence, s.Role = "u", Role{Name: "up", Replication: true, CreateOnDatabase: true, NotOwned: []string{"public.a"}}
		}, Blocker, "role up does not own public.a", "grant app to up;"},
		{"a copied table that cannot be read", func(s, _ *Facts, o *Options) {
			s.Relations[0].Persistence, o.CopyInSwitch = "u", true
			s.Role = Role{Name: "up", Replication: true, CreateOnDatabase: true, Filtered: []string{"public.a"}}
		}, Blocker, "row level security hides rows of public.a", "alter role up bypassrls;"},
	},
}

// TestRecheck: what a run publishes stays published, though it could not be published any more.
func TestRecheck(t *testing.T) {
	s, target := healthy()
	o := Options{CopyInSwitch: true}
	bare(&s)
	begun, err := Select(s, o)
	if err != nil || len(begun.Copied) != 1 {
		t.Fatalf("%+v, %v", begun.Copied, err)
	}
	now, _ := healthy()
	now.Relations[1].IdentityUsable, now.Relations[1].Identity = false, "n"
	now.Relations[0].Bytes = 900 << 20
	var said []string
	for _, f := range Recheck(begun, now, target, o) {
		said = append(said, string(f.Severity)+" "+f.Object)
	}
	if diff := cmp.Diff([]string{"blocker public.b", "blocker public.a", "warning public.a"}, said); diff != "" {
		t.Error(diff)
	}
}

// TestSetReplicaIdentityComesFirst: what can be given an identity is published, the rest is copied.
func TestSetReplicaIdentityComesFirst(t *testing.T) {
	s, _ := healthy()
	for i := range s.Relations {
		r := &s.Relations[i]
		r.IdentityUsable, r.IdentityIndex, r.PrimaryKey, r.IdentityCandidate = false, "", "", ""
	}
	s.Relations[1].NoEquality = []string{"j"}
	s.Relations[2].NoEquality, s.Relations[2].IdentityCandidate = []string{"j"}, "c_uk"
	for _, c := range []struct {
		o    Options
		want string
	}{{Options{}, ""}, {Options{CopyInSwitch: true}, "a b c"}, {Options{CopyInSwitch: true, SetReplicaIdentity: true}, "b"}} {
		sel, err := Select(s, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(sel.Copied); got != c.want {
			t.Errorf("%+v: copied are %q, want %q", c.o, got, c.want)
		}
	}
}

func TestCopyLevels(t *testing.T) {
	var tables []Relation
	for _, n := range strings.Fields("a b c d e f") {
		tables = append(tables, Relation{Name: Name{"public", n}})
	}
	var s Facts
	fk(&s, "b", "a")
	fk(&s, "a", "a")
	fk(&s, "c", "published")
	fk(&s, "d", "b")
	fk(&s, "e", "f")
	fk(&s, "f", "e")
	levels, circle := CopyLevels(tables, s.ForeignKeys)
	got := ""
	for _, l := range levels {
		got += names(l) + "; "
	}
	if got != "a; b c; d; " || names(circle) != "e f" {
		t.Errorf("levels %q, in a circle %q", got, names(circle))
	}
}

func names(list []Relation) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Name.Name)
	}
	return strings.Join(out, " ")
}

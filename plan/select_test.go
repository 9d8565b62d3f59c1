package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// selectable has two schemas of the application's and one that an extension needs.
func selectable() Facts {
	root := Name{"app", "events"}
	r := func(schema, name, kind string) Relation {
		return Relation{Name: Name{schema, name}, Kind: kind, Persistence: "p"}
	}
	leaf := func(name, kind string, parent Name) Relation {
		l := r("app", name, kind)
		l.Partition, l.Root, l.Parents = true, &root, []Name{parent}
		return l
	}
	child := r("app", "child", "r")
	child.Parents = []Name{{"app", "orders"}}
	cache := r("app", "cache", "r")
	cache.Persistence = "u"
	member := r("ext", "spatial", "r")
	member.Extension = "postgis"
	late, early := r("app", "mat_a", "m"), r("app", "mat_b", "m")
	late.Depth = 1
	return Facts{
		Database: "shop", Schemas: []string{"Sales, EU", "app", "ext", "public"},
		Relations: []Relation{
			r("app", "orders", "r"), r("app", "Order.Lines", "r"), child, cache, r("app", "events", "p"),
			leaf("events_1", "r", root), leaf("events_2", "p", root), leaf("events_2_a", "r", Name{"app", "events_2"}),
			r("app", "all_orders", "v"), late, early, r("app", "far", "f"), member, r("ext", "mine", "r"), r("public", "orders", "r"), r("Sales, EU", "orders", "r"),
		},
		Sequences: []Sequence{
			{Name: Name{"app", "orders_id_seq"}, OwnedBy: &Name{"app", "orders"}},
			{Name: Name{"app", "alone"}},
			{Name: Name{"ext", "spatial_seq"}, Extension: "postgis"},
			{Name: Name{"public", "alone"}},
		},
		Extensions: []Extension{{"postgis", "3", "ext"}, {"plpgsql", "1", "pg_catalog"}},
	}
}

func relationNames(rs []Relation) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Name.String())
	}
	return strings.Join(out, " ")
}

// selectCase says what Select makes of o; the names are separated by blanks.
type selectCase struct {
	o                                            Options
	published, roots, unlogged, views, sequences string
	excluded, schemas                            string
}

var selectCases = map[string]selectCase{
	"everything": {
		published: `app.orders app."Order.Lines" app.child app.events_1 app.events_2_a ext.mine public.orders "Sales, EU".orders`,
		roots:     "app.events app.events_2", unlogged: "app.cache", views: "app.mat_b app.mat_a", sequences: "app.orders_id_seq app.alone public.alone",
	},
	"schemas": {
		o: Options{Schemas: []string{"app,ext"}}, published: `app.orders app."Order.Lines" app.child app.events_1 app.events_2_a ext.mine`,
		roots: "app.events app.events_2", unlogged: "app.cache", views: "app.mat_b app.mat_a", sequences: "app.orders_id_seq app.alone",
		schemas: `"Sales, EU" public`,
	},
	"a schema that an extension needs stays": {
		o: Options{Schemas: []string{`"Sales, EU", PUB*`}}, published: `public.orders "Sales, EU".orders`, sequences: "public.alone",
		excluded: "ext.mine", schemas: "app",
	},
	"a table by name": {
		o: Options{Tables: []string{"Orders"}}, published: `app.orders public.orders "Sales, EU".orders`, views: "app.mat_b app.mat_a",
		sequences: "app.orders_id_seq app.alone public.alone",
		excluded:  `app."Order.Lines" app.child app.cache app.events app.events_1 app.events_2 app.events_2_a app.far ext.mine`,
	},
	"a quoted table": {
		o: Options{Schemas: []string{"app"}, Tables: []string{`app."Order.Lines"`}}, published: `app."Order.Lines"`, views: "app.mat_b app.mat_a", sequences: "app.alone",
		excluded: "app.orders app.child app.cache app.events app.events_1 app.events_2 app.events_2_a app.far app.orders_id_seq ext.mine", schemas: `"Sales, EU" public`,
	},
	"a root takes its leaves": {
		o: Options{Schemas: []string{"app"}, Tables: []string{"events"}}, published: "app.events_1 app.events_2_a", roots: "app.events app.events_2",
		views: "app.mat_b app.mat_a", sequences: "app.alone",
		excluded: `app.orders app."Order.Lines" app.child app.cache app.far app.orders_id_seq ext.mine`, schemas: `"Sales, EU" public`,
	},
	"exclusions": {
		o:         Options{Schemas: []string{"app"}, ExcludeTables: []string{"e?ents,CH*", "app.mat_a", "all_orders", "app.orders"}},
		published: `app."Order.Lines"`, unlogged: "app.cache", views: "app.mat_b", sequences: "app.alone",
		excluded: "app.orders app.child app.events app.events_1 app.events_2 app.events_2_a app.all_orders app.mat_a app.orders_id_seq ext.mine", schemas: `"Sales, EU" public`,
	},
}

func TestSelect(t *testing.T) {
	for name, c := range selectCases {
		t.Run(name, func(t *testing.T) { trySelect(t, c) })
	}
}

func trySelect(t *testing.T, c selectCase) {
	s, err := Select(selectable(), c.o)
	if err != nil {
		t.Fatal(err)
	}
	var sequences, excluded, schemas []string
	for _, q := range s.Sequences {
		sequences = append(sequences, q.Name.String())
	}
	for _, n := range s.Excluded {
		excluded = append(excluded, n.String())
	}
	slices.Sort(excluded)
	for _, n := range s.Schemas {
		schemas = append(schemas, QuoteIdent(n))
	}
	want := strings.Fields(c.excluded)
	slices.Sort(want)
	if diff := cmp.Diff(want, excluded, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("excluded (-want +got):\n%s", diff)
	}
	for _, d := range []struct{ what, got, want string }{
		{"published", relationNames(s.Published), c.published},
		{"roots", relationNames(s.Roots), c.roots},
		{"unlogged", relationNames(s.Unlogged), c.unlogged},
		{"materialized views", relationNames(s.MatViews), c.views},
		{"sequences", strings.Join(sequences, " "), c.sequences},
		{"schemas", strings.Join(schemas, " "), c.schemas},
	} {
		if d.got != d.want {
			t.Errorf("%s: %s\nwant %s", d.what, d.got, d.want)
		}
	}
}

func TestSelectRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no such schema":           {Options{Schemas: []string{"nope"}}, "--schemas nope matches no schema of shop"},
		"a schema and a dot":       {Options{Schemas: []string{"a.b"}}, "2 names with dots between, where 1 can stand"},
		"no such table":            {Options{Tables: []string{"orders", "app.nope*"}}, "--tables app.nope* matches no table"},
		"only in another schema":   {Options{Schemas: []string{"public"}, Tables: []string{"child"}}, "--tables child matches no table of the selected schemas"},
		"no such exclusion":        {Options{ExcludeTables: []string{`"ORDERS"`}}, `--exclude-tables "ORDERS" matches no table`},
		"wildcards in quotes":      {Options{Tables: []string{`"ord*"`}}, "matches no table"},
		"three names":              {Options{Tables: []string{"a.b.c"}}, "3 names with dots between"},
		"open quote":               {Options{Tables: []string{`"a`}}, "a double quote is not closed"},
		"empty":                    {Options{Tables: []string{"a,"}}, "a name is missing"},
		"a leaf without its root":  {Options{Tables: []string{"events_1"}}, "app.events_1 is selected, but app.events, which it is a partition of, is left out"},
		"a root without a leaf":    {Options{ExcludeTables: []string{"events_1"}}, "app.events_1 is left out, but app.events, which it is a partition of, is selected"},
		"a middle without its top": {Options{Tables: []string{"events_2"}}, "app.events_2 is selected, but app.events"},
		"a child without parent":   {Options{Tables: []string{"child"}}, "app.child is selected, but app.orders, which it inherits from, is left out"},
		"an extension's table":     {Options{Tables: []string{"spatial"}}, "matches no table"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Select(selectable(), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v; want %q in it", err, c.want)
			}
			if KindOf(err) != KindUsage {
				t.Errorf("kind %q", KindOf(err))
			}
		})
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"A", "a", true},
		{`"A"`, "a", false},
		{"a*", "a", true},
		{"*", "", true},
		{"?", "", false},
		{"?", "ä", true},
		{"*b*b", "abab", true},
		{"*b*b", "aba", false},
		{"a*c?", "abcbcd", true},
		{`a"*"`, "a*", true},
		{`a"*"`, "ab", false},
		{`"a""b"`, `a"b`, true},
		{`"a.b"*`, "a.bc", true},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 60), false},
	} {
		g, err := parseGlob(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.match(c.name); got != c.want {
			t.Errorf("%s matches %q: %v", c.pattern, c.name, got)
		}
	}
}

package catalog_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// TestDefinitions reads what the checks of definitions look at, while somebody holds a lock on much of it.
func TestDefinitions(t *testing.T) {
	majors := []int{10, 11, 12, 13, 14, 15, 16, 17, 18}
	if testing.Short() {
		majors = []int{10, 18}
	}
	for _, major := range majors {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			server := pgserver.StartT(t, pgserver.Options{Major: major})
			db := open(t, server.URI("postgres"))
			exec(t, db, definitionObjects(t, db.Version()))
			invalidIndex(t, db)

			holder := open(t, server.URI("postgres"))
			exec(t, holder, "begin; alter sequence app.locked cycle; lock table app.t, app.by_day, app.by_day_1, app.uses in access exclusive mode")
			f := read(t, db, plan.Source, "shop").Definitions
			t.Run("positions", func(t *testing.T) { testPositions(t, f) })
			t.Run("relations", func(t *testing.T) { testDefinedRelations(t, f) })
			t.Run("triggers", func(t *testing.T) { testSwitched(t, f) })
			t.Run("removed", func(t *testing.T) { testRemoved(t, f, db.Version()) })
			t.Run("functions", func(t *testing.T) { testFunctions(t, f, db.Version()) })
			t.Run("plain role", func(t *testing.T) { testUnreadable(t, server, db) })
			if major > pgver.Oldest { // never a target
				t.Run("target", func(t *testing.T) { testTargetDefinitions(t, read(t, db, plan.Target, "shop").Definitions) })
			}
		})
	}
}

func definitionObjects(t *testing.T, v pgver.Version) string {
	t.Helper()
	text, err := os.ReadFile("testdata/definitions.sql")
	if err != nil {
		t.Fatal(err)
	}
	sql := string(text)
	for mark, has := range map[string]bool{"generated": v.Has(pgver.GeneratedColumns), "before14": !v.Has(pgver.NoPostfixOperators), "before12": !v.Has(pgver.NoOldTimes)} {
		with := "-- "
		if has {
			with = ""
		}
		sql = strings.ReplaceAll(sql, "{{"+mark+"}}", with)
	}
	return sql
}

// invalidIndex leaves what a failed build leaves.
func invalidIndex(t *testing.T, db *pg.Source) {
	t.Helper()
	exec(t, db, "insert into app.helper values (1), (1)")
	if _, err := db.Exec(t.Context(), "create unique index concurrently helper_u on app.helper (id)"); err == nil {
		t.Fatal("a unique index over equal values was built")
	}
}

func testPositions(t *testing.T, f plan.DefinitionFacts) {
	two := int64(2)
	same(t, "sequences", f.SequencePositions, []plan.SequencePosition{
		{Name: app("fresh_id_seq")[0], Table: &app("fresh")[0], Column: "id", ColumnType: "bigint"},
		{Name: app("locked")[0], Busy: true},
		{Name: app("t_id_seq")[0], Last: &two, Table: &app("t")[0], Column: "id", ColumnType: "integer"},
	})
}

// testUnreadable: a position that a role may not read is not one of a sequence that was never called.
func testUnreadable(t *testing.T, server *pgserver.Server, db *pg.Source) {
	exec(t, db, "create role plain login password 'p'; grant usage on schema app to plain; grant select on app.fresh_id_seq to plain")
	f := read(t, open(t, server.URIFor("plain", "p", "postgres")), plan.Source, "shop").Definitions
	same(t, "sequences as a plain role", f.SequencePositions, []plan.SequencePosition{
		{Name: app("fresh_id_seq")[0], Table: &app("fresh")[0], Column: "id", ColumnType: "bigint"},
		{Name: app("locked")[0], Unreadable: true, Busy: true},
		{Name: app("t_id_seq")[0], Unreadable: true, Table: &app("t")[0], Column: "id", ColumnType: "integer"},
	})
	if len(f.Functions) == 0 || len(f.SystemUses) == 0 {
		t.Error("a plain role sees less")
	}
}

func testDefinedRelations(t *testing.T, f plan.DefinitionFacts) {
	same(t, "materialized views", f.ConcurrentMatViews, app("m1"))
	if len(f.TimePartitions) != 1 || f.TimePartitions[0].Root != app("by_day")[0] || f.TimePartitions[0].Ends != "2002-02-03" || f.TimePartitions[0].Days > -5000 || f.TimePartitions[0].Default {
		t.Errorf("trees over time: %+v", f.TimePartitions)
	}
	same(t, "what is not valid", f.Invalid, []plan.InvalidObject{
		{Kind: "check constraint", Table: app("nv")[0], Name: "nv_a"},
		{Kind: "domain constraint", Table: app("d")[0], Name: "d_positive"},
		{Kind: "index", Table: app("helper")[0], Name: "helper_u", Unique: true},
	})
}

func testSwitched(t *testing.T, f plan.DefinitionFacts) {
	same(t, "triggers", f.Switched, []plan.SwitchedTrigger{
		{Kind: "foreign key", Table: app("child")[0], Name: "child_t", Enabled: "D"},
		{Kind: "rule", Table: app("t")[0], Name: "r", Enabled: "R"},
		{Kind: "trigger", Table: app("t")[0], Name: "always_x", Enabled: "A"},
		{Kind: "trigger", Table: app("t")[0], Name: "off", Enabled: "D"},
	})
	same(t, "event triggers", f.EventTriggers, []plan.EventTrigger{
		{Name: "et", Event: "ddl_command_end", Enabled: "O", Tags: []string{"CREATE TABLE"}},
		{Name: "et_off", Event: "sql_drop", Enabled: "D"},
	})
}

func testRemoved(t *testing.T, f plan.DefinitionFacts, v pgver.Version) {
	want := []plan.RemovedUse{{Kind: "cast", Name: plan.Name{Name: "boolean"}, Member: "bytea"}}
	if !v.Has(pgver.NoPostfixOperators) {
		want = slices.Concat([]plan.RemovedUse{{Kind: "aggregate", Name: app("gather")[0], Member: "anyelement", Uses: "array_append"}}, want,
			[]plan.RemovedUse{{Kind: "postfix operator", Name: app("!!!")[0], Member: "integer"}})
	}
	if !v.Has(pgver.NoOldTimes) {
		want = slices.Insert(want, 2,
			plan.RemovedUse{Kind: "column", Name: app("old")[0], Member: "at", Uses: "abstime"},
			plan.RemovedUse{Kind: "column", Name: app("old")[0], Member: "r", Uses: "reltime"},
			plan.RemovedUse{Kind: "domain", Name: app("old_d")[0], Uses: "tinterval"},
			plan.RemovedUse{Kind: "function", Name: app("old_f")[0], Member: "abstime", Uses: "abstime"})
	}
	same(t, "what is gone", f.Removed, want)

	var columns []string
	for _, u := range f.SystemUses {
		columns = append(columns, u.View.Name+" "+u.Relation.Schema+"."+u.Relation.Name+"."+u.Column)
	}
	same(t, "columns of the system's", columns, []string{
		"system_1 pg_catalog.pg_class.relkind", "system_1 pg_catalog.pg_class.relname",
		"system_2 pg_catalog.pg_extension.extversion", "system_2 pg_catalog.pg_proc.proname",
	})
}

func testFunctions(t *testing.T, f plan.DefinitionFacts, v pgver.Version) {
	bare := func(u plan.FunctionUse) plan.FunctionUse {
		if u.Function == "" {
			u.Function = "app.bare(integer)"
		}
		u.Bare, u.Schemas = []string{"helper"}, []string{"app"}
		return u
	}
	uses := app("uses")[0]
	want := []plan.FunctionUse{
		bare(plan.FunctionUse{Kind: "check constraint", On: uses, Member: "uses_a", Function: "app.deep(integer)", Through: "app.bare(integer)"}),
		{Kind: "check constraint", On: uses, Member: "uses_b", Function: "app.safe(integer)"},
		bare(plan.FunctionUse{Kind: "domain", On: app("checked")[0], Member: "checked_a"}),
		bare(plan.FunctionUse{Kind: "index", On: uses, Member: "uses_i"}),
		bare(plan.FunctionUse{Kind: "index", On: uses, Member: "uses_w"}),
		bare(plan.FunctionUse{Kind: "materialized view", On: app("m3")[0]}),
		bare(plan.FunctionUse{Kind: "partition key", On: app("by_function")[0]}),
	}
	if v.Has(pgver.GeneratedColumns) {
		want = slices.Insert(want, 3, plan.FunctionUse{Kind: "generated column", On: app("gen")[0], Member: "g", Function: "app.clock(integer)", Changing: []string{"now"}})
	}
	same(t, "functions", f.Functions, want)
}

func testTargetDefinitions(t *testing.T, f plan.DefinitionFacts) {
	if !slices.Contains(f.SystemColumns["pg_catalog.pg_class"], "relname") || !slices.Contains(f.SystemColumns["information_schema.tables"], "table_name") {
		t.Errorf("columns of the system's: %d relations", len(f.SystemColumns))
	}
	if !slices.Contains(f.SystemCasts, "integer as bigint") {
		t.Errorf("%d casts", len(f.SystemCasts))
	}
	if e := f.ExtensionDefaults["plpgsql"]; e.Version == "" {
		t.Errorf("plpgsql %+v", e)
	}
	if f.SequencePositions != nil || f.Functions != nil {
		t.Error("what only concerns the source was read from the target")
	}
}

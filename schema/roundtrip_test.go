package schema

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// pairs are the oldest and the newest of what is supported, and one in between; -short takes the first.
var pairs = []struct{ from, to int }{{10, 18}, {13, 18}, {15, 17}}

// furtherPairs are those that only the most demanding scenario is tried on.
var furtherPairs = []struct{ from, to int }{{11, 15}, {12, 16}, {14, 18}, {16, 17}}

// TestRoundTrip loads what pg_dump wrote through the steps, finds no difference, and clears it all away.
func TestRoundTrip(t *testing.T) {
	for _, pair := range pairs {
		for _, scenario := range []string{"further", "shop", "odd-names"} {
			t.Run(fmt.Sprintf("%d-%d/%s", pair.from, pair.to, scenario), func(t *testing.T) {
				roundTrip(t, pair.from, pair.to, scenario)
			})
			if testing.Short() {
				return
			}
		}
	}
	for _, pair := range furtherPairs {
		t.Run(fmt.Sprintf("%d-%d/further", pair.from, pair.to), func(t *testing.T) { roundTrip(t, pair.from, pair.to, "further") })
	}
}

func roundTrip(t *testing.T, from, to int, scenario string) {
	ctx := t.Context()
	at := database(t, from)
	source, target := openSource(t, at), openTarget(t, database(t, to))
	if scenario == "further" {
		loadFurther(t, source, target)
	} else {
		loadScenario(t, scenario, source.Session, target.Session)
	}
	initial, err := ReadInitial(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Dump(ctx, pgDump(t), at, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(d.Entries), "entries", d.Notes)
	loadSteps(t, target, plan.StageSchema, DefinitionSteps(d.Entries))
	loadSteps(t, target, plan.StageFinish, FinishSteps(d.Entries, nil, nil))
	without := DeferredTriggers(d.Entries)
	for _, diff := range Compare(objects(t, source), objects(t, target), plan.Selection{}, without...) {
		t.Errorf("before the switch: %s\n  source %s\n  target %s", diff, diff.Source, diff.Target)
	}
	loadSteps(t, target, plan.StageSwitch, DeferredSteps(d.Entries))
	for _, diff := range Compare(objects(t, source), objects(t, target), plan.Selection{}) {
		t.Errorf("in the end: %s\n  source %s\n  target %s", diff, diff.Source, diff.Target)
	}
	for range 2 { // the second time there is nothing to do
		if err := Clear(ctx, target, initial); err != nil {
			t.Fatal(err)
		}
	}
	again, err := ReadInitial(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Objects, initial.Objects) {
		t.Errorf("after clear: %v, before the load: %v", again.Objects, initial.Objects)
	}
}

func objects(t *testing.T, q pg.Querier) []catalog.Object {
	t.Helper()
	start := time.Now()
	list, err := catalog.Objects(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(list), "objects in", time.Since(start).Round(time.Millisecond))
	return list
}

// loadFurther runs testdata/further*.sql on the source; the roles it makes are made on the target too.
func loadFurther(t *testing.T, source *pg.Source, target *pg.Target) {
	t.Helper()
	execute(t, source.Session, "set search_path = public")
	for _, f := range []struct {
		since int
		name  string
	}{{0, "further.sql"}, {11, "further.v11.sql"}, {12, "further.v12.sql"}, {14, "further.v14.sql"}} {
		if source.Version().Major() < f.since {
			continue
		}
		sql, err := os.ReadFile("testdata/" + f.name)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, source.Session, string(sql))
	}
	execute(t, source.Session, "set search_path = pg_catalog")
	execute(t, target.Session, `do $$ begin
		if not exists (select from pg_roles where rolname = 'Further "Role"') then create role "Further ""Role"""; end if; end $$`)
}

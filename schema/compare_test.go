package schema

import (
	"slices"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/plan"
)

// changes are made on the target, one at a time; want are the objects that differ then.
var changes = []struct {
	change string
	want   []string
}{
	{"select 1", nil},
	{"drop index further.keyed_name", []string{"comment index further.keyed_name", "index keyed_name on further.keyed"}},
	{"alter table further.late_child alter column b set not null", []string{"column further.late_child.b"}},
	{"alter table further.packed add column extra int", []string{"column further.packed.extra"}},
	{"alter table further.keyed alter column price set default 0.2", []string{"column further.keyed.price"}},
	{"alter table further.keyed alter column big set default 12345678901234567891", []string{"column further.keyed.big"}},
	{"revoke select on further.keyed from \"Further \"\"Role\"\"\"", []string{`privilege select on table further.keyed to "Further ""Role"""`}},
	{"revoke update (name) on further.keyed from public", []string{"privilege update on column further.keyed.name to public"}},
	{"grant execute on function further.dollars() to public", []string{"privilege execute on function further.dollars() to public"}},
	{"revoke grant option for usage on schema further from \"Further \"\"Role\"\"\" cascade", []string{`privilege usage on schema further to "Further ""Role"""`}},
	{"drop table further.zoned_1", []string{"table further.zoned_1"}},
	{"alter table further.keyed disable trigger ordinary", []string{"trigger ordinary on further.keyed"}},
	{"alter table further.keyed enable trigger always", []string{"trigger always on further.keyed"}},
	{"drop trigger \"on replica\" on further.keyed", []string{`trigger "on replica" on further.keyed`}},
	{"create or replace function further.looks_like_a_header() returns text language plpgsql as 'begin end'", []string{"function further.looks_like_a_header()"}},
	{"alter function further.dollars() set search_path = public", []string{"function further.dollars()"}},
	{"alter type public.left_type add value 'z' after 'b'", []string{"type public.left_type"}},
	{"alter domain further.positive validate constraint is_positive", []string{"constraint is_positive on further.positive"}},
	{"alter table further.zoned detach partition further.zoned_1", []string{"table further.zoned_1"}},
	{"alter table further.keyed replica identity full", []string{"replica identity further.keyed"}},
	{"alter table further.fast disable row level security", []string{"table further.fast"}},
	{"alter policy mine on further.fast using (true)", []string{"policy mine on further.fast"}},
	{"alter table further.fast set logged", []string{"table further.fast"}},
	{"alter table further.keyed owner to \"Further \"\"Role\"\"\"", []string{
		`privilege insert on table further.keyed to "Further ""Role"""`, `privilege select on table further.keyed to "Further ""Role"""`, "table further.keyed",
	}},
	{"drop rule two on further.keyed", []string{"rule two on further.keyed"}},
	{"comment on schema public is 'yours'", []string{"comment schema public"}},
	{"alter default privileges in schema further revoke select on tables from \"Further \"\"Role\"\"\"", []string{"default privileges of postgres on tables in further"}},
	{"alter server \"far away\" options (set host 'elsewhere')", []string{`foreign server "far away"`}},
	{"alter user mapping for current_user server \"far away\" options (add \"user\" 'x')", []string{`user mapping "postgres on far away"`}},
	{"alter event trigger further_event disable", []string{"event trigger further_event"}},
	{"drop cast (further.money_in as text)", []string{"cast further.money_in as text"}},
	{"create extension pgcrypto schema public", []string{"extension pgcrypto"}},
	{"alter sequence further.fast_id_seq increment 2", []string{"sequence further.fast_id_seq"}},
	{"alter statistics further.stats set statistics 10", []string{"statistics stats on further.fast"}},
	{"alter table further.tree drop constraint tree_ref_fkey", []string{"constraint tree_ref_fkey on further.tree"}},
	{"create view further.more as select 1 as one", []string{"view further.more"}},
	{"alter view further.grouped rename column count to n", []string{"column further.grouped.count", "column further.grouped.n"}},
}

// TestCompareNamesTheDifference: one thing is changed on the target, and exactly that is told.
func TestCompareNamesTheDifference(t *testing.T) {
	const from, to = 15, 17
	at := database(t, from)
	source, target := openSource(t, at), openTarget(t, database(t, to))
	loadFurther(t, source, target)
	d, err := Dump(t.Context(), pgDump(t), at, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	loadSteps(t, target, plan.StageSchema, DefinitionSteps(d.Entries))
	loadSteps(t, target, plan.StageFinish, FinishSteps(d.Entries, nil, nil))
	loadSteps(t, target, plan.StageSwitch, DeferredSteps(d.Entries))
	want := objects(t, source)
	for _, c := range changes {
		t.Run(c.change, func(t *testing.T) {
			execute(t, target.Session, "begin")
			defer target.Rollback()
			execute(t, target.Session, c.change)
			var got []string
			for _, d := range Compare(want, objects(t, target), plan.Selection{}) {
				got = append(got, d.String())
				if d.Source == d.Target {
					t.Errorf("%s: both sides show %q", d, d.Source)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCompareLeavesOut(t *testing.T) {
	in := func(kind, name, schema, relation string) catalog.Object {
		return catalog.Object{Kind: kind, Name: name, Definition: "x", Of: plan.Name{Schema: schema, Name: relation}}
	}
	source := []catalog.Object{
		in("table", "a.t", "a", "t"), in("column", "a.t.c", "a", "t"), in("column", "a.u.c", "a", "u"), in("function", "b.f()", "b", ""),
		in("trigger", "x on a.t2", "a", "t2"), in("comment", "trigger x on a.t2", "a", "t2"), in("table", "a.gone", "a", "gone"), in("column", "a.gone.c", "a", "gone"),
	}
	target := []catalog.Object{
		in("schema", "public", "public", ""), in("privilege", "usage on schema public to public", "public", ""),
		in("privilege", "execute on function public.f() to public", "public", ""),
	}
	sel := plan.Selection{Excluded: []plan.Name{{Schema: "a", Name: "t"}}, Schemas: []string{"b"}}
	var got []string
	for _, d := range Compare(source, target, sel, `trigger "x" on a.t2`, `comment trigger x on a."t2"`) {
		got = append(got, d.String())
	}
	same(t, got, []string{"column a.u.c", "privilege execute on function public.f() to public", "table a.gone"})
}

package catalog

import (
	"maps"
	"reflect"
	"slices"
	"testing"
)

func TestScanBody(t *testing.T) {
	known := knownNames{
		"relation": {"helper": {"app"}, "Odd": {"app"}, "created": {"app", "public"}},
		"function": {"rate": {"app"}, "unaccent": {"public"}},
		"type":     {"mood": {"app"}},
	}
	for _, c := range []struct {
		name, body      string
		bare            []string
		changing, calls []string
		unsure          bool
	}{
		{name: "a table", body: "select id + $1 from helper", bare: []string{"helper"}, changing: []string{"helper"}},
		{name: "upper case", body: "SELECT 1 FROM Helper h", bare: []string{"helper"}, changing: []string{"helper"}},
		{name: "quoted", body: `select 1 from "Odd"`, bare: []string{"Odd"}, changing: []string{"Odd"}},
		{name: "another case", body: `select 1 from Odd`},
		{name: "with its schema", body: "select id from app.helper", changing: []string{"helper"}},
		{name: "a column of that name", body: "select helper from app.other where helper > 1"},
		{name: "an alias", body: "select helper.id from app.other as helper"},
		{name: "a variable", body: "declare helper int; begin select 1 into helper; return helper; end"},
		{name: "insert", body: "begin insert into helper (id) values (1); end", bare: []string{"helper"}, changing: []string{"helper"}},
		{name: "update", body: "begin update helper set id = 1; end", bare: []string{"helper"}, changing: []string{"helper"}},
		{name: "for update", body: "select 1 from app.x for update"},
		{name: "join", body: "select 1 from app.x join helper on true", bare: []string{"helper"}, changing: []string{"helper"}},
		{name: "with", body: "with helper as (select 1) select * from helper"},
		{name: "extract", body: "select extract(year from created)"},
		{name: "substring", body: "select substring(x from created) || trim(both from created)"},
		{name: "distinct", body: "select a is distinct from created"},
		{name: "two schemas", body: "select 1 from created", bare: []string{"created"}, changing: []string{"created"}},
		{name: "in a string", body: "select 'from helper' || $q$ from helper $q$ || E'\\' from helper'"},
		{name: "in a comment", body: "select 1 -- from helper\n /* /* from helper */ from helper */ "},
		{name: "a function", body: "select unaccent($1)", bare: []string{"unaccent"}},
		{name: "a function in one", body: "begin return lower(unaccent(x)); end", bare: []string{"unaccent"}},
		{name: "a function with its schema", body: "select public.unaccent($1)", calls: []string{"unaccent"}},
		{name: "an alias with columns", body: "select 1 from app.x rate(a)"},
		{name: "assigned", body: "begin x := rate(1); return x; end", bare: []string{"rate"}},
		{name: "a cast", body: "select $1::mood", bare: []string{"mood"}},
		{name: "the other cast", body: "select cast($1 as mood)", bare: []string{"mood"}},
		{name: "a cast with a schema", body: "select $1::app.mood"},
		{name: "an alias like a type", body: "select 1 as mood"},
		{name: "a row type", body: "declare r helper%rowtype; begin return r.id; end", bare: []string{"helper"}},
		{name: "a column's type", body: "declare r helper.id%type; begin return r; end", bare: []string{"helper"}},
		{name: "a declared type", body: "declare m mood; begin return m; end", bare: []string{"mood"}},
		{name: "sets its own path", body: "begin perform set_config('search_path', 'app', true); return (select id from helper); end", bare: []string{"helper"}, changing: []string{"helper"}, unsure: true},
		{name: "a temporary table", body: "begin create temp table helper (id int); return (select id from helper); end", bare: []string{"helper"}, changing: []string{"helper"}, unsure: true},
		{name: "the clock", body: "select now() - $1 + (current_date - 1) + random()", changing: []string{"current_date", "now", "random"}},
		{name: "a column called now", body: "select x.now from app.x"},
		{name: "unfinished", body: "select 'abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := scanBody(c.body, known)
			for _, part := range []struct {
				what      string
				got, want []string
			}{{"bare", slices.Sorted(maps.Keys(got.bare)), c.bare}, {"changing", got.changing, c.changing}, {"calls", got.calls, c.calls}} {
				if !slices.Equal(part.got, part.want) {
					t.Errorf("%s %q; want %q", part.what, part.got, part.want)
				}
			}
			if got.unsure != c.unsure {
				t.Errorf("unsure %v", got.unsure)
			}
		})
	}
}

func TestBareNamesAreFoundThroughCalls(t *testing.T) {
	s := &bodyScanner{
		byOID: map[int64]routine{}, byName: map[string][]routine{}, cache: map[int64]bodyNames{},
		known: knownNames{"relation": {"helper": {"app"}}},
	}
	for _, f := range []routine{
		{OID: 1, Schema: "app", Name: "calls", Body: "select app.called($1)"},
		{OID: 2, Schema: "app", Name: "called", Arguments: "integer", Body: "select app.calls(1), id from helper"},
		{OID: 3, Schema: "app", Name: "with_path", Body: "select id from helper", PathSet: true},
		{OID: 4, Schema: "app", Name: "safe", Body: "select app.with_path()"},
		{OID: 5, Schema: "app", Name: "round", Body: "select app.round()"},
	} {
		s.byOID[f.OID], s.byName[f.Name] = f, []routine{f}
	}
	found := s.bare(s.byOID[1], map[int64]bool{})
	if found == nil || found.in.signature() != "app.called(integer)" || !reflect.DeepEqual(found.names, []string{"helper"}) || !reflect.DeepEqual(found.schemas, []string{"app"}) {
		t.Errorf("through a call: %+v", found)
	}
	for _, oid := range []int64{3, 4, 5} {
		if found := s.bare(s.byOID[oid], map[int64]bool{}); found != nil {
			t.Errorf("%s: %+v", s.byOID[oid].Name, found)
		}
	}
}

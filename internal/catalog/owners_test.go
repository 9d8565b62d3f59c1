package catalog_test

import (
	"fmt"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// ownedObjects belong to many; extensions' do not count.
const ownedObjects = `create role boss; create role clerk; create role "Odd One";
create schema office authorization boss; create schema "Odd Space" authorization "Odd One";
grant create, usage on schema office to clerk; grant create on schema public to boss;
create table office.t (id int primary key); alter table office.t owner to clerk; create table office.u (id serial); alter table office.u owner to boss;
create function office.f() returns int language sql as 'select 1'; alter function office.f() owner to "Odd One";
create type office.mood as enum ('a'); alter type office.mood owner to clerk; create type office.span as range (subtype = float8); alter type office.span owner to clerk;
create sequence office.alone; alter sequence office.alone owner to clerk;
alter default privileges for role clerk grant select on tables to boss;
create extension citext schema office;
grant select on office.t to boss with grant option; set role boss; grant select on office.t to "Odd One"; reset role;
revoke insert, truncate on office.t from clerk; alter table office.u enable row level security; alter table office.u force row level security`

func TestOwners(t *testing.T) {
	for _, major := range []int{11, 14, 15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := open(t, pgserver.StartT(t, pgserver.Options{Major: major}).URI("postgres"))
			exec(t, db, ownedObjects)
			o := read(t, db, plan.Source, "x").RoleDetails.OwnerFacts
			public := "postgres"
			if db.Version().Has(pgver.PublicSchemaClosed) {
				public = "pg_database_owner"
			}
			same(t, "owned", o.Owned, []plan.Ownership{
				{Owner: "Odd One", Schema: "office", Object: "function office.f"},
				{Owner: "clerk", Object: "default privileges"},
				{Owner: "clerk", Schema: "office", Object: "sequence office.alone"},
			})
			same(t, "schemas", o.SchemaOwners, map[string]string{"office": "boss", "Odd Space": "Odd One", "public": public})
			same(t, "may create", o.MayCreate, []plan.SchemaRole{{Schema: "public", Role: "boss"}, {Schema: "office", Role: "clerk"}})
			same(t, "grantors", o.Grantors, []string{"boss"})
			same(t, "owners that lack", o.OwnerLacks, []plan.OwnerLacks{{Table: plan.Name{Schema: "office", Name: "t"}, Owner: "clerk", Rights: []string{"insert", "truncate"}}})
			same(t, "forced", o.Forced, []string{"office.u"})
			same(t, "powerful", o.Powerful, []plan.Powerful(nil))
			same(t, "of a target", read(t, db, plan.Target, "x").RoleDetails.OwnerFacts, plan.OwnerFacts{})
		})
	}
}

// powerfulObjects are one of each kind that a superuser alone can make, and the same from an extension.
const powerfulObjects = `create extension hstore; create extension file_fdw;
create function public.c_function(internal) returns internal language internal as 'pg_stat_get_xact_numscans';
create function public.tight() returns int language sql leakproof as 'select 1';
create function public.fine() returns int language plpgsql as 'begin return 1; end';
create aggregate public.gather(anynonarray) (sfunc = array_agg_transfn, stype = internal, finalfunc = array_agg_finalfn, finalfunc_extra);
create type public.point_like; create function public.pl_in(cstring) returns public.point_like language internal immutable strict as 'int4in';
create function public.pl_out(public.point_like) returns cstring language internal immutable strict as 'int4out';
create type public.point_like (input = public.pl_in, output = public.pl_out, internallength = 4, passedbyvalue);
create cast (public.point_like as int) without function;
create operator family public.family using btree;
create foreign data wrapper remote;
create text search parser public.parser (start = prsd_start, gettoken = prsd_nexttoken, "end" = prsd_end, lextypes = prsd_lextype);
create text search template public.template (lexize = dsimple_lexize);
create function public.note() returns event_trigger language plpgsql as 'begin end';
create event trigger note on ddl_command_end execute procedure public.note()`

func TestPowerful(t *testing.T) {
	for _, major := range []int{10, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := open(t, pgserver.StartT(t, pgserver.Options{Major: major}).URI("postgres"))
			exec(t, db, powerfulObjects)
			var got []string
			for _, p := range read(t, db, plan.Source, "x").RoleDetails.Powerful {
				got = append(got, p.Schema+"|"+p.Object)
				if p.Why == "" {
					t.Errorf("no reason for %s", p.Object)
				}
			}
			same(t, "powerful", got, []string{
				"|cast (public.point_like as integer)", "|event trigger note", "|foreign data wrapper remote",
				"public|aggregate public.gather", "public|function public.c_function", "public|function public.pl_in", "public|function public.pl_out",
				"public|function public.tight", "public|operator family public.family", "public|text search parser public.parser",
				"public|text search template public.template", "public|type public.point_like",
			})
		})
	}
}

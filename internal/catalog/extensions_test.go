package catalog_test

import (
	"fmt"
	"testing"

	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestExtensionData: of the tables that belong to extensions only those are told that hold rows which CREATE
// EXTENSION does not make. Which tables an extension has marked can be written into the catalog by hand.
func TestExtensionData(t *testing.T) {
	for _, major := range []int{10, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			server := pgserver.StartT(t, pgserver.Options{Major: major})
			db := open(t, server.URI("postgres"))
			want := func(what string, tables ...plan.ExtensionTable) {
				t.Helper()
				same(t, what, read(t, db, plan.Source, "shop").ExtensionData, tables)
			}
			want("without any")
			exec(t, db, `create table public.marked (id int); create table public."odd one" (id int); create table public.ours (id int);
				alter extension plpgsql add table public.marked; alter extension plpgsql add table public."odd one";
				insert into public.marked values (1); insert into public.ours values (1)`)
			exec(t, db, `update pg_extension set extconfig = array['public.marked'::regclass::oid], extcondition = array['where id > 10'] where extname = 'plpgsql'`)
			want("rows of the extension's own")
			exec(t, db, `insert into public.marked values (11); insert into public."odd one" values (1)`)
			marked := plan.ExtensionTable{Name: plan.Name{Schema: "public", Name: "marked"}, Extension: "plpgsql", Config: true}
			odd := plan.ExtensionTable{Name: plan.Name{Schema: "public", Name: "odd one"}, Extension: "plpgsql"}
			want("both", marked, odd)

			other := open(t, server.URI("postgres"))
			exec(t, other, "vacuum public.marked")
			exec(t, other, `begin; lock table public.marked in access exclusive mode`)
			want("behind a lock, by its size", marked, odd)
			exec(t, other, "rollback")
			exec(t, db, "update pg_extension set extcondition = array['where nonsense'] where extname = 'plpgsql'")
			want("a condition that does not work", marked, odd)

			exec(t, db, `alter extension plpgsql drop table public."odd one"; truncate public.marked`)
			want("after the mend")

			// What an extension's script makes and fills comes again by itself.
			exec(t, db, `alter extension plpgsql drop table public.marked; insert into public.marked values (1);
				update pg_extension set extconfig = null, extcondition = null where extname = 'plpgsql'; alter extension plpgsql add table public.marked`)
			want("made in one transaction with the extension")
		})
	}
}

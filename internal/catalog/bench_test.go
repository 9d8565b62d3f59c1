package catalog_test

import (
	"fmt"
	"testing"

	"pgleap/internal/catalog"
	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// BenchmarkRead reads a database of many tables, each with ten columns, two indexes and a sequence.
func BenchmarkRead(b *testing.B) {
	for _, major := range []int{13, 18} {
		server := pgserver.StartT(b, pgserver.Options{Major: major, Settings: map[string]string{"max_locks_per_transaction": "1000"}})
		a, err := pg.ParseAddress(server.URI("postgres"))
		if err != nil {
			b.Fatal(err)
		}
		db, err := pg.OpenSource(b.Context(), a, pg.Options{Verb: "test"})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(db.Close)
		made := 0
		for _, tables := range []int{2_000, 10_000} {
			for ; made < tables; made += 500 {
				if _, err := db.Exec(b.Context(), fmt.Sprintf(`do $$ begin for i in %d..%d loop execute format(
					'create table public.table_%%s (id serial primary key, a int unique, b text, c text, d numeric, e varchar(20), f timestamptz, g uuid, h jsonb, i int[])', i); end loop; end $$`,
					made, made+499)); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := db.Exec(b.Context(), "vacuum analyze"); err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%d/%d tables", major, tables), func(b *testing.B) {
				for b.Loop() {
					if _, err := catalog.Read(b.Context(), db, plan.Target, "shop"); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

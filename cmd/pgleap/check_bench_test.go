package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// BenchmarkCheck measures check and plan beside pg_dump --schema-only of the same database, in turn, each three times:
// of 2,000 tables with two indexes and a sequence each, and of 10,000. It prints the medians, and fails where check or
// plan takes more than twice as long as pg_dump at 10,000 tables, or more than five seconds at 2,000.
//
//	go test -run '^$' -bench Check -benchtime 1x ./cmd/pgleap
func BenchmarkCheck(b *testing.B) {
	settings := map[string]string{"max_locks_per_transaction": "400", "fsync": "on"}
	source := pgserver.StartT(b, pgserver.Options{Major: 13, Settings: settings})
	target := pgserver.StartT(b, pgserver.Options{Major: 18, Settings: settings})
	for _, tables := range []int{2_000, 10_000} {
		name := fmt.Sprintf("tables_%d", tables)
		manyTables(b, source, name, tables)
		benchRun(b, target.URI("postgres"), "create database "+name)
		b.Run(fmt.Sprintf("%d tables", tables), func(b *testing.B) {
			var took [3][]float64
			for range b.N {
				for range 3 {
					for i, run := range []func() *exec.Cmd{
						func() *exec.Cmd {
							return exec.Command(filepath.Join(pgserver.ClientFolders()[0], "pg_dump"), "--schema-only", "-d", source.URI(name))
						},
						func() *exec.Cmd { return benchTool(source.URI(name), target.URI(name), "check") },
						func() *exec.Cmd { return benchTool(source.URI(name), target.URI(name), "plan") },
					} {
						cmd := run()
						begun := time.Now()
						if out, err := cmd.CombinedOutput(); err != nil {
							b.Fatalf("%s: %v\n%.2000s", cmd.Args[1:], err, out)
						}
						took[i] = append(took[i], time.Since(begun).Seconds())
					}
				}
			}
			dump, check, plan := median(took[0]), median(took[1]), median(took[2])
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(dump, "pg_dump-s")
			b.ReportMetric(check, "check-s")
			b.ReportMetric(plan, "plan-s")
			b.ReportMetric(check/dump, "check-ratio")
			b.ReportMetric(plan/dump, "plan-ratio")
			if worst := max(check, plan); tables == 10_000 && worst > 2*dump || tables == 2_000 && worst > 5 {
				b.Errorf("%d tables: pg_dump %.2f s, check %.2f s, plan %.2f s", tables, dump, check, plan)
			}
		})
	}
}

// manyTables makes a database of tables, each with a sequence and two indexes.
func manyTables(b *testing.B, server *pgserver.Server, name string, tables int) {
	b.Helper()
	benchRun(b, server.URI("postgres"), "create database "+name)
	for from := 0; from < tables; from += 1000 {
		benchRun(b, server.URI(name), fmt.Sprintf(`do $$ begin for i in %d..%d loop execute format(
			'create table public.table_%%s (id serial primary key, a int unique, b text, c text, d numeric, e varchar(20), f timestamptz, g uuid, h jsonb, i int[])', i); end loop; end $$`,
			from, from+999))
	}
	benchRun(b, server.URI(name), "vacuum analyze")
}

func benchRun(b *testing.B, uri, sql string) {
	b.Helper()
	s := benchSession(b, uri)
	defer s.Close()
	if _, err := s.Script(context.WithoutCancel(b.Context()), sql); err != nil {
		b.Fatal(pg.Message(err))
	}
}

func benchTool(source, target string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(cleanEnvironment(), "PGLEAP_SOURCE="+source, "PGLEAP_TARGET="+target)
	return cmd
}

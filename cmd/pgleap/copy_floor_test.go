package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pgleap/internal/pg"
)

// What the floor takes: its index builds have the memory that a sensible operator gives them.
const (
	floorMaintenanceWorkMem = "256MB"
	floorPipes              = 4
	floorPart               = 64 << 20
	floorGroup              = 1 << 20 // smaller tables go through a pipe together: a process for each would be the measure
)

// floor is about as little as a copy can take that has everything in the end: tables without indexes, rows in ranges
// through pipes that are pinned to one snapshot, then indexes and constraints.
func (r *copyRun) floor() {
	archive := filepath.Join(r.b.TempDir(), "schema")
	restore := func(section string, more ...string) {
		r.timed(section, func() {
			r.succeed(r.client(r.target, "pg_restore", append(more, "--exit-on-error", "-d", r.database, "--section="+section, archive)...))
		})
	}
	r.timed("pg_dump", func() { r.succeed(r.client(r.source, "pg_dump", "--schema-only", "-Fc", "-f", archive)) })
	restore("pre-data", "--transaction-size=1000")
	r.timed("rows", r.floorRows)
	restore("post-data", "-j", "2")
	r.timed("analyze", r.analyze)
}

// succeed runs one client program.
func (r *copyRun) succeed(cmd *exec.Cmd) {
	r.b.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		r.b.Fatalf("%s: %v\n%.2000s", strings.Join(cmd.Args, " "), err, out)
	}
}

// floorRows copies all rows at one snapshot, the largest parts first.
func (r *copyRun) floorRows() {
	holder, err := copySession(r.b.Context(), r.sourceURI())
	if err != nil {
		r.b.Fatal(err)
	}
	defer holder.Close()
	rows, err := holder.Script(r.b.Context(), "begin isolation level repeatable read read only; select pg_export_snapshot()")
	if err != nil {
		r.b.Fatal(pg.Message(err))
	}
	pin := []string{"-c", "begin isolation level repeatable read read only", "-c", "set transaction snapshot '" + rows[0][0] + "'"}
	parts := r.floorParts()
	r.share(floorPipes, len(parts), func(_ *pg.Session, i int) error { return r.carry(pin, parts[i]) })
}

// carry is one part through one pipe.
func (r *copyRun) carry(pin []string, p floorPipe) error {
	psql := []string{"--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1"}
	from := r.client(r.source, "psql", slices.Concat(psql, pin, p.read)...)
	to := r.client(r.target, "psql", slices.Concat(psql, p.write)...)
	return copyPipe(from, to)
}

// floorPipe is what two processes of psql are given.
type floorPipe struct{ read, write []string }

// floorParts are the parts of large tables in binary, and groups of small ones as a script of texts.
func (r *copyRun) floorParts() []floorPipe {
	tables := r.query(r.sourceURI(), `select oid::regclass, pg_relation_size(oid) from pg_class
		where relkind = 'r' and relnamespace = 'public'::regnamespace order by pg_relation_size(oid) desc, oid`)
	ranges, _ := strconv.Atoi(r.query(r.sourceURI(), "select case when current_setting('server_version_num')::int >= 140000 then 1 else 0 end")[0][0])
	var pipes []floorPipe
	var small []string
	for _, t := range tables {
		size, err := strconv.ParseInt(t[1], 10, 64)
		if err != nil {
			r.b.Fatal(err)
		}
		if size < floorGroup {
			small = append(small, t[0])
			continue
		}
		n := max(1, size/floorPart*int64(ranges)) // before 14 each range would read the whole table
		pages := size/8192 + 1
		for i := range n {
			where := ""
			if n > 1 {
				where = fmt.Sprintf(" where ctid >= '(%d,0)' and ctid < '(%d,0)'", pages*i/n, pages*(i+1)/n)
			}
			pipes = append(pipes, floorPipe{
				read:  []string{"-c", fmt.Sprintf("copy (select * from only %s%s) to stdout (format binary)", t[0], where)},
				write: []string{"-c", fmt.Sprintf("copy %s from stdin (format binary)", t[0])},
			})
		}
	}
	return append(pipes, r.floorGroups(small)...)
}

// floorGroups write scripts for the source's psql, whose output is one for the target's.
func (r *copyRun) floorGroups(tables []string) (pipes []floorPipe) {
	if len(tables) == 0 {
		return nil
	}
	folder := r.b.TempDir()
	for group := range slices.Chunk(tables, (len(tables)+4*floorPipes-1)/(4*floorPipes)) {
		var script strings.Builder
		for _, t := range group {
			fmt.Fprintf(&script, "\\echo copy %[1]s from stdin;\ncopy %[1]s to stdout;\n\\echo '\\\\.'\n", t)
		}
		file := filepath.Join(folder, strconv.Itoa(len(pipes)))
		if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
			r.b.Fatal(err)
		}
		pipes = append(pipes, floorPipe{read: []string{"-f", file}, write: []string{"-1", "-f", "-"}})
	}
	return pipes
}

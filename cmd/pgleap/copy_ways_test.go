package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// copyWay fills the target's empty database from the source's.
type copyWay struct {
	name    string
	follows bool // what is written on the source meanwhile arrives, too
	do      func(*copyRun)
	undo    func(*copyRun) // what is left beside the target's database
}

var copyWays = []copyWay{
	{name: "native", follows: true, do: (*copyRun).native, undo: (*copyRun).unsubscribe},
	{name: "pgcopydb", do: (*copyRun).pgcopydb},
	{name: "floor", do: (*copyRun).floor},
	{name: "stream", follows: true, do: func(r *copyRun) { r.pgleap("stream") }, undo: (*copyRun).abort},
	{name: "server", follows: true, do: func(r *copyRun) { r.pgleap("server") }, undo: (*copyRun).abort},
}

// copyRun is one copy.
type copyRun struct {
	*copyBench
	database string
	result   copyResult
}

func (r *copyRun) sourceURI() string { return r.source.URI(r.database) }
func (r *copyRun) targetURI() string { return r.target.URI(r.database) }

// native is what the manual tells: the schema, a publication, a subscription.
func (r *copyRun) native() {
	r.timed("schema", func() {
		r.pipe(r.client(r.source, "pg_dump", "--schema-only"), r.client(r.target, "psql", "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull))
	})
	r.timed("copy", func() {
		r.query(r.sourceURI(), "create publication copy_native for all tables")
		r.query(r.targetURI(), "create subscription copy_native connection "+plan.QuoteLiteral(r.sourceURI())+" publication copy_native")
		r.awaitRow(r.targetURI(), "select from pg_subscription_rel having count(*) = count(*) filter (where srsubstate = 'r') and count(*) > 0")
	})
	r.timed("analyze", r.analyze)
}

// timed does a stage and keeps how long it takes.
func (r *copyRun) timed(name string, do func()) {
	begun := time.Now()
	do()
	r.result.stages = append(r.result.stages, copyStage{name, time.Since(begun)})
}

func (r *copyRun) unsubscribe() {
	r.query(r.targetURI(), "drop subscription copy_native")
	r.query(r.sourceURI(), "drop publication copy_native")
}

// analyze brings the statistics of all tables that have none yet, in two sessions.
func (r *copyRun) analyze() {
	tables := r.query(r.targetURI(), `select c.oid::regclass from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
		and not exists (select from pg_statistic s where s.starelid = c.oid) order by c.relpages desc`)
	r.share(2, len(tables), func(s *pg.Session, i int) error {
		_, err := s.Script(r.b.Context(), "analyze "+tables[i][0])
		return err
	})
}

// share does n things on the target, each of some sessions the next one.
func (r *copyRun) share(sessions, n int, do func(s *pg.Session, i int) error) {
	r.b.Helper()
	next := copyQueue(n)
	errs := make(chan error, sessions)
	for range sessions {
		go func() {
			s, err := copySession(r.b.Context(), r.targetURI())
			if err != nil {
				errs <- err
				return
			}
			defer s.Close()
			for i := range next {
				if err := do(s, i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range sessions {
		if err := <-errs; err != nil {
			r.b.Error(pg.Message(err))
		}
	}
	if r.b.Failed() {
		r.b.FailNow()
	}
}

// copyQueue gives the numbers below n.
func copyQueue(n int) <-chan int {
	queue := make(chan int, n)
	for i := range n {
		queue <- i
	}
	close(queue)
	return queue
}

// pgcopydb clones the database, with the newest client programs before all others.
func (r *copyRun) pgcopydb() {
	folder := r.b.TempDir()
	ctx, cancel := context.WithTimeout(r.b.Context(), copyLongest)
	defer cancel()
	cmd := exec.CommandContext(ctx, pgcopydbProgram(), "clone", "--table-jobs", "4", "--index-jobs", "4", "--split-tables-larger-than", "200MB", "--dir", filepath.Join(folder, "work"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its own processes and queues then
	cmd.Env = append(os.Environ(), "PGCOPYDB_SOURCE_PGURI="+r.sourceURI(), "PGCOPYDB_TARGET_PGURI="+r.targetURI(), "TMPDIR="+folder,
		"PATH="+pgserver.ClientFolders()[0]+string(os.PathListSeparator)+os.Getenv("PATH"))
	r.timed("clone", func() { r.own(cmd) })
	r.timed("analyze", r.analyze)
}

// pgcopydbProgram is that of `make servers`, or else the machine's; "" where there is none.
func pgcopydbProgram() string {
	for _, folder := range pgserver.ClientFolders() {
		path := filepath.Join(folder, "..", "..", "..", "pgcopydb", "bin", "pgcopydb")
		if exec.Command(path, "--version").Run() == nil {
			return path
		}
	}
	path, _ := exec.LookPath("pgcopydb")
	return path
}

func pgcopydbVersion() string {
	program := pgcopydbProgram()
	if program == "" {
		return "not on this machine: that way is left out"
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// pgleap runs sync as a user would.
func (r *copyRun) pgleap(way string) {
	args := append([]string{"sync", "--copy", way, "--json"}, strings.Fields(os.Getenv("COPY_FLAGS"))...)
	cmd := benchTool(r.sourceURI(), r.targetURI(), args...)
	cmd.Env = append(cmd.Env, "PGLEAP_REPORT="+r.b.TempDir())
	r.result.stages = copyStagesOf(r.own(cmd))
}

func (r *copyRun) abort() {
	cmd := benchTool(r.sourceURI(), r.targetURI(), "abort")
	cmd.Env = append(cmd.Env, "PGLEAP_REPORT="+r.b.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		r.b.Fatalf("pgleap abort: %v\n%s", err, out)
	}
}

// own runs a program that copies all by itself, and returns its output.
func (r *copyRun) own(cmd *exec.Cmd) []byte {
	r.b.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.b.Fatalf("%s: %v\n%.3000s\n%.3000s", strings.Join(cmd.Args[1:], " "), err, stderr.String(), out)
	}
	r.result.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return out
}

// copyStagesOf reads how long each stage took, and within it each kind of step, in the order in which they ended: their
// sums, so that what ran side by side can be more than the stage.
func copyStagesOf(lines []byte) []copyStage {
	var stages []copyStage
	add := func(name string, seconds float64) {
		took := time.Duration(seconds * float64(time.Second))
		for i := range stages {
			if stages[i].name == name {
				stages[i].took += took
				return
			}
		}
		stages = append(stages, copyStage{name, took})
	}
	var first, last time.Time
	for line := range bytes.Lines(lines) {
		var e plan.Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if first.IsZero() {
			first = e.Time
		}
		last = e.Time
		parts := strings.SplitN(string(e.Step), ".", 3)
		switch e.Kind {
		case plan.EventStep:
			if len(parts) > 1 {
				add(parts[0]+"."+parts[1], e.Seconds)
			}
		case plan.EventDone:
			add(strings.ToUpper(string(e.Stage)), e.Seconds)
		}
	}
	if !first.IsZero() {
		add("first to last event", last.Sub(first).Seconds())
	}
	return stages
}

// client is a client program of `make servers` for the database.
func (r *copyRun) client(s *pgserver.Server, program string, args ...string) *exec.Cmd {
	folders := pgserver.ClientFolders()
	if len(folders) == 0 {
		r.b.Fatal("no client programs: run `make servers`")
	}
	cmd := exec.Command(filepath.Join(folders[0], program), args...)
	cmd.Env = append(cleanEnvironment(), "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", s.Port), "PGUSER="+s.Superuser, "PGPASSWORD="+s.Password, "PGDATABASE="+r.database,
		"PGOPTIONS=-c maintenance_work_mem="+floorMaintenanceWorkMem)
	return cmd
}

// pipe runs two programs, of which the second reads what the first writes.
func (r *copyRun) pipe(from, to *exec.Cmd) {
	r.b.Helper()
	if err := copyPipe(from, to); err != nil {
		r.b.Fatal(err)
	}
}

func copyPipe(from, to *exec.Cmd) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	var said output
	from.Stdout, from.Stderr = writer, &said
	to.Stdin, to.Stderr = reader, &said
	err = from.Start()
	_ = writer.Close() // the process has it
	if err == nil {
		err = to.Start()
	}
	_ = reader.Close()
	if err != nil {
		return err
	}
	for _, cmd := range []*exec.Cmd{from, to} {
		if werr := cmd.Wait(); werr != nil && err == nil {
			err = fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), werr)
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%.2000s", err, said.String())
	}
	return nil
}

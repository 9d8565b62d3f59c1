package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clean fails the test unless the database holds what it held before, and nothing of pgleap.
func (c *client) clean(side string, before []string) {
	c.t.Helper()
	c.is("", ours)
	left := slices.DeleteFunc(slices.Clone(before), func(line string) bool { return slices.Contains(strings.Split(c.oursBefore(before), "\n"), line) })
	c.same(side, left, slices.DeleteFunc(c.contents(), func(line string) bool { return line == "" }))
}

// oursBefore are the lines of contents that list what is pgleap's.
func (c *client) oursBefore(before []string) string {
	var lines []string
	for _, line := range before {
		for _, kind := range []string{"slot pgleap_", "publication pgleap_", "subscription pgleap_", "schema pgleap", "trigger on "} {
			if strings.HasPrefix(line, kind) && !strings.Contains(line, ": ") {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(append(lines, ""), "\n")
}

// trips takes a synchronised run over and back: a half is a cutover, one a rollback behind it.
func (u *upgrade) trips(halves int) {
	u.t.Helper()
	for i := range halves {
		verb := []string{"cutover", "rollback"}[i%2]
		u.run(exitOK, verb, "--confirm", u.name)
	}
}

// TestSourceLost: where the old server is gone for good, finalize leaves nothing on the new one.
func TestSourceLost(t *testing.T) {
	s := startServers(t, 13, 18)
	alone := []string{"PGLEAP_SOURCE="}
	for _, c := range []struct {
		halves int
		flags  []string
	}{{1, nil}, {1, []string{"--no-way-back"}}, {2, nil}, {3, nil}} {
		t.Run(fmt.Sprintf("after %d halves %s", c.halves, strings.Join(c.flags, "")), func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, small)
			u.run(exitOK, append([]string{"sync"}, c.flags...)...)
			u.runWith(alone, exitNotReady, "finalize", "--confirm", u.name).says("has not been switched over", "--source")
			u.trips(c.halves)
			before := u.target.contents()
			if c.halves == 2 {
				u.source.run("insert into customers (name) select 'there' from generate_series(1, 30)")
				await(t, "the rows to arrive", func() bool { return u.target.run("select count(*) from customers") == "50" })
				u.runWith(alone, exitPastReturn, "finalize", "--confirm", u.name).says("the source is the truth", "--source-is-lost")
				u.run(exitOK, "finalize", "--source-is-lost", "--confirm", u.name).says("customers_id_seq to 50")
			} else {
				u.runWith(alone, exitOK, "finalize", "--confirm", u.name).says("nothing of run " + u.name + " is left on the target")
			}
			u.target.clean("target", before)
			u.target.run("insert into customers (name) values ('new')")
			u.runWith(alone, exitOK, "finalize", "--confirm", u.name).says("nothing of pgleap is left")
			// Should it come back after all: its fence stands, and goes when it is given up.
			u.run(exitOK, "finalize", "--target-is-lost", "--confirm", u.name)
			u.source.is("", ours)
		})
	}
}

// TestTargetLost: where the new server is gone for good the old one takes writes again only when that is said, with
// all that had come back, and leaves nothing of pgleap.
func TestTargetLost(t *testing.T) {
	s := startServers(t, 13, 18)
	alone := []string{"PGLEAP_TARGET="}
	for _, c := range []struct {
		halves int
		flags  []string
	}{{1, nil}, {1, []string{"--no-way-back"}}, {3, nil}} {
		t.Run(fmt.Sprintf("after %d halves %s", c.halves, strings.Join(c.flags, "")), func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, small)
			before := u.source.contents()
			u.run(exitOK, append([]string{"sync"}, c.flags...)...)
			u.trips(c.halves)
			u.target.run("insert into customers (name) select 'new' from generate_series(1, 30)")
			rows, says := "21", "nothing of it had come back"
			if len(c.flags) == 0 {
				await(t, "the rows to come back", func() bool { return u.source.run("select count(*) from customers") == "50" })
				rows, says = "51", "customers_id_seq to 50"
			}
			during := u.snapshot()
			u.runWith(alone, exitPastReturn, "abort").says("--target-is-lost")
			u.runWith(alone, exitUsage, "finalize", "--confirm", u.name).says("--target-is-lost", "gone for good")
			u.unchanged(during)
			u.run(exitOK, "finalize", "--target-is-lost", "--confirm", u.name).says("LOST", says, "TAKES WRITES AGAIN")
			u.source.same("source", before, u.source.contents())
			u.source.run("insert into customers (name) values ('old')")
			u.source.is(rows, "select count(*) from customers")
			u.source.is("0", "select count(*) from pg_replication_origin where roname = any (array(select 'pg_' || oid from pg_subscription where subname ~ '"+u.name+"'))")
		})
	}
}

// TestAbortSourceAlone with a way back prepared, and after a rollback: nothing of either direction is left.
func TestAbortSourceAlone(t *testing.T) {
	s := startServers(t, 16, 18)
	for _, halves := range []int{0, 2} {
		t.Run(fmt.Sprintf("after %d halves", halves), func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, small)
			before := u.snapshot()
			u.run(exitOK, "sync")
			u.trips(halves)
			u.runWith([]string{"PGLEAP_TARGET="}, exitOK, "abort").says("nothing of run " + u.name + " is left on the source")
			u.source.same("source", before.source, u.source.contents())
			u.source.run("insert into customers (name) values ('old')")
			u.run(exitOK, "abort")
			u.unchanged(before)
		})
	}
}

// TestTargetDead: nothing is asked of a server that is dead, in the middle of what it was sending.
func TestTargetDead(t *testing.T) {
	u := startServers(t, 17, 18).upgrade(t, small)
	before := u.source.contents()
	u.run(exitOK, "sync")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.run("insert into customers (name) select 'new' from generate_series(1, 30)")
	await(t, "the rows to come back", func() bool { return u.source.run("select count(*) from customers") == "50" })
	if err := u.servers.target.Halt(t.Context(), "immediate"); err != nil {
		t.Fatal(err)
	}
	u.run(exitOK, "finalize", "--target-is-lost", "--confirm", u.name).says("HAD NOT SENT IS LOST")
	u.source.same("source", before, u.source.contents())
	u.source.run("insert into customers (name) values ('old')")
}

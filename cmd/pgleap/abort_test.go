package main

import (
	"strconv"
	"testing"
)

// TestAbort: before the point of no return everything can be taken back, behind it nothing.
func TestAbort(t *testing.T) {
	s := startServers(t, 13, 18)
	for name, c := range map[string]func(u *upgrade, before snapshot){
		"both sides": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "abort").says("nothing of run " + u.name + " is left on either side")
			u.unchanged(before)
			u.run(exitOK, "abort") // nothing to do
			u.unchanged(before)
			u.run(exitOK, "sync")
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"the source alone": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.runWith([]string{"PGLEAP_TARGET="}, exitOK, "abort").says("nothing of run "+u.name+" is left on the source", "pgleap abort")
			u.source.same("source", before.source, u.source.contents())
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"a target of its own": func(u *upgrade, _ snapshot) {
			// What was on the target before stays there.
			u.target.run("create extension pgcrypto")
			before := u.snapshot()
			u.run(exitOK, "sync")
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"another run": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			during := u.snapshot()
			for _, args := range [][]string{{"abort"}, {"sync"}, {"cutover", "--confirm", u.name}, {"finalize", "--confirm", u.name}, {"status"}} {
				u.run(exitBlocked, append(args, "--run", "another")...).says("run \""+u.name+"\"", "--run "+u.name)
			}
			u.runWith([]string{"PGLEAP_TARGET="}, exitBlocked, "abort", "--run", "another").says("belongs to run "+u.name, "--run "+u.name)
			u.unchanged(during)
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"swapped": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			during := u.snapshot()
			swapped := []string{"PGLEAP_SOURCE=" + u.targetURI, "PGLEAP_TARGET=" + u.sourceURI}
			for _, args := range [][]string{{"abort"}, {"cutover", "--confirm", u.name}, {"finalize", "--confirm", u.name}, {"sync"}} {
				u.runWith(swapped, exitBlocked, args...).says("swapped?")
			}
			u.runWith([]string{"PGLEAP_SOURCE=" + u.targetURI, "PGLEAP_TARGET="}, exitBlocked, "abort").says("swapped?")
			u.unchanged(during)
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"too early": func(u *upgrade, before snapshot) {
			u.run(exitNotReady, "cutover", "--confirm", u.name).says("no journal of run "+u.name, "pgleap sync first")
			u.run(exitOK, "finalize", "--confirm", u.name).says("nothing of pgleap is left")
			u.run(exitOK, "abort")
			u.unchanged(before)
			u.run(exitOK, "sync")
			u.run(exitNotReady, "finalize", "--confirm", u.name).says("has not been switched over", "pgleap cutover", "pgleap abort")
			u.run(exitOK, "abort")
			u.unchanged(before)
		},
		"too late": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			u.run(exitOK, "cutover", "--confirm", u.name).says("✓ switch", "✓ teardown")
			during := u.snapshot()
			u.run(exitPastReturn, "abort").says("past the point of no return", "the source is fenced and the target is the truth")
			u.runWith([]string{"PGLEAP_TARGET="}, exitPastReturn, "abort").says("past the point of no return")
			u.run(exitOK, "cutover", "--confirm", u.name).says("nothing to do")
			u.run(exitOK, "sync")
			u.unchanged(during)
			u.target.run("insert into customers (name) values ('new')")
			for range 2 {
				u.run(exitOK, "finalize", "--confirm", u.name)
				u.source.same("source", before.source, u.source.contents())
				u.target.is("", ours)
			}
			u.source.run("insert into customers (id, name) values (1000, 'old')") // the fence is gone; the sequence stands where it stood at the switch
			u.target.is("21", "select count(*) from customers")
		},
		"cut short": func(u *upgrade, before snapshot) {
			u.run(exitOK, "sync")
			for point := 1; ; point++ {
				o := u.start([]string{killAt + "=" + strconv.Itoa(point)}, "abort").wait()
				if o.code == exitOK {
					break
				}
				o.exits(-1) // by the signal
				if u.target.run(ours) == "" {
					break // the journal goes with the last of the run
				}
				u.run(exitDrift, "sync").says("an abort of run "+u.name+" was begun", "finish it with pgleap abort")
				u.run(exitDrift, "cutover", "--confirm", u.name).says("finish it with pgleap abort")
				u.run(exitOK, "status").says("critical", "pgleap abort")
			}
			u.unchanged(before)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := s.upgrade(t, small)
			c(u, u.snapshot())
		})
	}
}

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgleap/plan"
)

// TestTrialLoadLeavesNothing: neither an interrupt nor a check beside it leaves a scratch database or is taken for
// one that did; what a killed check leaves is told.
func TestTrialLoadLeavesNothing(t *testing.T) {
	s := startServers(t, 12, 17)
	u := s.upgrade(t, small)
	before := u.snapshot()
	for _, at := range []string{"trial.made", "trial.loaded"} {
		t.Run("interrupted at "+at, func(t *testing.T) {
			p := u.start([]string{stopAt + "=" + at}, "check")
			awaitStopped(t, p)
			p.signal(syscall.SIGINT)
			p.signal(syscall.SIGCONT)
			p.wait().exits(exitInterrupted)
			u.noScratch()
		})
		t.Run("another check at "+at, func(t *testing.T) {
			// Stopped in the middle of trying the way back it would hold up the other one's trial of it.
			p := u.start([]string{stopAt + "=" + at}, "check", "--no-way-back")
			awaitStopped(t, p)
			u.run(exitOK, "check").says("no blocker")
			p.signal(syscall.SIGCONT)
			p.wait().exits(exitOK).says("no blocker")
			u.noScratch()
		})
		t.Run("killed at "+at, func(t *testing.T) {
			u.start([]string{killAt + "=" + at}, "check").wait()
			await(t, "the server to notice", func() bool {
				return u.target.run("select count(*) from pg_stat_activity where datname ~ '^pgleap_trial_' or application_name = 'pgleap/check'") == "0"
			})
			name := u.target.run("select datname from pg_database where datname ~ '^pgleap_trial_'")
			u.target.is("pgleap run="+u.name+" trial load by pgleap check, which drops it at its end",
				"select shobj_description(oid, 'pg_database') from pg_database where datname = '"+name+"'")
			var d checkDocument
			u.run(exitOK, "check", "--json").into(&d)
			d.Findings = slices.DeleteFunc(d.Findings, func(f plan.Finding) bool { return f.Check != "leftovers" })
			if len(d.Findings) != 1 || d.Findings[0].Check != "leftovers" || d.Findings[0].Severity != plan.Warning || !strings.Contains(d.Findings[0].Problem, name) {
				t.Fatalf("of a database that a killed check left: %s", findingsText(d.Findings))
			}
			u.target.run(d.Findings[0].SQL)
			u.noScratch()
			u.run(exitOK, "check").says("no blocker")
		})
	}
	u.unchanged(before)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

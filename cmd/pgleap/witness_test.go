package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgleap/cutover"
	"pgleap/internal/pipeline"
)

// TestWitness: what is written behind the fence, by whoever can, is found in the old server's WAL, by status and by
// finalize, also across a restart; what a subscription applies there is no violation.
func TestWitness(t *testing.T) {
	for _, pair := range [][2]int{{10, 17}, {13, 18}, {17, 18}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) { testWitness(t, pair[0], pair[1]) })
	}
}

func testWitness(t *testing.T, from, to int) {
	u := startServers(t, from, to).upgrade(t, small)
	before := u.snapshot()
	u.run(exitOK, "sync")
	u.run(exitOK, "cutover", "--confirm", u.name).says("nobody but replication has written between the fence at")
	clean := u.witnessed()
	if !clean.Complete || len(clean.Violations) > 0 || clean.Unread != "" {
		t.Fatalf("after the switch: %+v", clean)
	}

	// An origin is what tells a subscription's rows.
	u.source.run(`select pg_replication_origin_create('other'); select pg_replication_origin_session_setup('other')`)
	u.source.run("set session_replication_role = replica; insert into customers (name) values ('applied')")
	u.source.run("select pg_replication_origin_session_reset(); reset session_replication_role")
	if w := u.witnessed(); !w.Complete || len(w.Violations) > 0 {
		t.Fatalf("applied rows: %+v", w)
	}
	if err := u.servers.source.Restart(context.Background(), "fast"); err != nil {
		t.Fatal(err)
	}
	u.source = connect(t, u.sourceURI)
	if w := u.witnessed(); !w.Complete || len(w.Violations) > 0 {
		t.Fatalf("after the restart: %+v", w)
	}

	u.source.run("set session_replication_role = replica; insert into customers (name) values ('late'); reset session_replication_role")
	written := []string{"INSERT of public.customers"}
	if from > 10 { // whose publications know no TRUNCATE
		u.source.run("set session_replication_role = replica; truncate orders; reset session_replication_role")
		written = append(written, "TRUNCATE of public.orders")
	}
	for range 2 { // it is not forgotten
		var got []string
		for _, v := range u.witnessed().Violations {
			got = append(got, v.Operation+" of "+v.Table)
		}
		if fmt.Sprint(got) != fmt.Sprint(written) {
			t.Errorf("found were %v, not %v", got, written)
		}
	}
	u.run(exitOK, "status").says("behind the fence, the first: INSERT of public.customers", "next       keep every client off the old server, and carry over by hand what was written there")
	if next := u.readStatus().Next(); strings.Contains(next, "finalize") {
		t.Errorf("next is %q", next)
	}
	u.run(exitPastReturn, "finalize", "--confirm", u.name).says("INSERT of public.customers", "--despite-late-writes")
	u.run(exitOK, "finalize", "--confirm", u.name, "--despite-late-writes")
	u.source.run("select pg_replication_origin_drop('other')")
	u.source.same("source", before.source, u.source.contents())
}

func (u *upgrade) witnessed() *cutover.Witnessed {
	u.t.Helper()
	var st pipeline.Status
	u.run(exitOK, "status", "--json").into(&st)
	if st.Witness == nil {
		u.t.Fatal("status says nothing of the old server's WAL")
	}
	return st.Witness
}

// TestWitnessOfResumed: the witness of a cutover that was killed behind its fence begins at that fence, and not where
// the next process drained anew; where nobody has written down that place, the report says what it knows.
func TestWitnessOfResumed(t *testing.T) {
	s := startServers(t, 13, 18)
	fenced := func(t *testing.T) *upgrade {
		u := s.upgrade(t, small)
		u.run(exitOK, "sync")
		u.runWith([]string{killAt + "=switch.committed"}, -1, "cutover", "--confirm", u.name)
		return u
	}
	t.Run("known", func(t *testing.T) {
		u := fenced(t)
		u.source.run("set session_replication_role = replica; insert into customers (name) values ('late'); reset session_replication_role")
		u.run(exitPastReturn, "cutover", "--confirm", u.name).says("INSERT of public.customers", "it came over, before the resumed switch had drained anew")
		u.target.is("1", "select count(*) from customers where name = 'late'")
		r, w := u.lastReport(), u.witnessed()
		if r.Switch.FenceBefore || !r.Switch.Repaired || len(w.Violations) != 1 || !w.Violations[0].Drained || w.FenceLSN != r.Switch.FenceLSN {
			t.Errorf("the report: %s, the witness: %+v", mustJSON(r.Switch), w)
		}
		u.source.is("t|t", fmt.Sprintf("select pg_lsn '%s' < pg_lsn '%s', pg_lsn '%[3]s' < pg_lsn '%[2]s'", r.Switch.FenceLSN, r.Switch.DrainedLSN, w.Violations[0].CommitLSN))
		u.run(exitOK, "status", "--report").says("of the attempt that was killed behind its fence", "drained anew up to "+r.Switch.DrainedLSN)
		u.run(exitOK, "finalize", "--confirm", u.name, "--despite-late-writes")
	})
	t.Run("not known", func(t *testing.T) {
		u := fenced(t)
		u.target.run("delete from pgleap.event where kind = 'marked'")
		u.run(exitOK, "cutover", "--confirm", u.name)
		r, w := u.lastReport(), u.witnessed()
		if !r.Switch.FenceBefore || r.Switch.FenceLSN != r.Switch.DrainedLSN || len(w.Violations) != 0 || !w.Complete {
			t.Errorf("the report: %s, the witness: %+v", mustJSON(r.Switch), w)
		}
		u.run(exitOK, "status", "--report").says("the fence was committed at or before it")
		u.run(exitOK, "rollback", "--confirm", u.name)
		u.run(exitOK, "abort")
	})
	t.Run("back", func(t *testing.T) {
		u := s.upgrade(t, small)
		u.run(exitOK, "sync")
		u.run(exitOK, "cutover", "--confirm", u.name)
		u.runWith([]string{killAt + "=back-switch.committed"}, -1, "rollback", "--confirm", u.name)
		u.run(exitOK, "rollback", "--confirm", u.name)
		if r := u.lastReport(); !r.Switch.Repaired || r.Switch.FenceBefore || r.Switch.DrainedLSN == "" {
			t.Errorf("the report: %s", mustJSON(r.Switch))
		}
		u.run(exitOK, "abort")
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgleap/internal/pg"
	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func TestClockTime(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2024, 2, 28, 23, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"2024-02-28T23:30:01+02:00": "2024-02-28T23:30:01+02:00",
		"2024-02-28T21:45:00Z":      "2024-02-28T21:45:00Z",
		"23:45":                     "2024-02-28T23:45:00+02:00",
		"23:30:01":                  "2024-02-28T23:30:01+02:00",
		"23:30":                     "2024-02-29T23:30:00+02:00",
		"03:00":                     "2024-02-29T03:00:00+02:00",
		"2024-02-28T23:30:00+02:00": "",
		"2023-02-28T23:30:00+02:00": "",
		"25:00":                     "",
		"soon":                      "",
		"":                          "",
	} {
		got, err := clockTime(text, now)
		if want == "" {
			if plan.KindOf(err) != plan.KindUsage {
				t.Errorf("%q: %s, %v; want a usage error", text, got, err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
}

// cutover starts a cutover of u with these flags.
func (u *upgrade) cutover(variables []string, flags ...string) *process {
	u.t.Helper()
	return u.start(variables, append([]string{"cutover", "--json", "--confirm", u.name}, flags...)...)
}

// takesWrites fails the test unless the source takes a write, from a client that does not wait for it for long.
func (u *upgrade) takesWrites() {
	u.t.Helper()
	u.source.run("set lock_timeout = '1s'; insert into customers (name) values ('still here')")
	u.source.is("0", "select count(*) from pg_trigger where tgname = '"+plan.FenceTrigger+"' and tgenabled <> 'D' and (select is_called from pgleap.gate)")
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// TestHold: what waits for the word begins nothing, is found by --go alone while it is alive, and looks at
// everything again before it begins.
func TestHold(t *testing.T) {
	u := synced(t, 13, 17)
	before := u.snapshot()
	u.run(exitNotReady, "cutover", "--go").says("nobody waits for the word", "pgleap cutover --hold")

	p := u.cutover(nil, "--hold")
	p.awaits("pgleap cutover --go")
	u.takesWrites()
	u.run(exitLocked, "cutover", "--confirm", u.name).says("another pgleap holds the run lock", "waits for the word: pgleap cutover --go", "fix: give it the word with pgleap cutover --go")
	u.run(exitOK, "status").says("held       a cutover by ", "waits for the word: pgleap cutover --go", "next       pgleap cutover --go")
	if st := u.readStatus(); st.Held == nil || st.Held.Verb != "cutover" || st.Held.Given || st.Held.By == "" || st.Held.Since.IsZero() {
		t.Errorf("status says %+v", st.Held)
	}
	p.interrupt().exits(exitInterrupted)
	u.unchanged(before)
	u.run(exitNotReady, "cutover", "--go").says("nobody waits for the word")

	p = u.cutover(nil, "--hold")
	p.awaits("pgleap cutover --go")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	await(t, "the hold of a killed process falls", func() bool {
		return u.target.run("select count(*) from pg_stat_activity where application_name = 'pgleap/cutover'") == "0"
	})
	u.run(exitNotReady, "cutover", "--go").says("nobody waits for the word")

	p = u.cutover(nil, "--hold")
	p.awaits("pgleap cutover --go")
	u.target.run("delete from pg_statistic where starelid = 'orders'::regclass")
	u.run(exitOK, "cutover", "--go").says("the word is given to", "since")
	p.wait().exits(exitNotReady).says("the word was given by", "statistics: ", "public.orders", "writes were never stopped")
	u.target.run("analyze orders")
	u.takesWrites()

	postponed := filepath.Join(t.TempDir(), "postponed")
	touch(t, postponed)
	p = u.cutover(nil, "--hold", "--postpone-file", postponed)
	p.awaits("pgleap cutover --go")
	u.run(exitOK, "cutover", "--go")
	p.awaits("the switch is postponed as long as " + postponed)
	u.run(exitOK, "cutover", "--go").says("the word was given already")
	u.run(exitOK, "status").says("held       a cutover by ", "the word was given")
	u.takesWrites()
	remove(t, postponed)
	p.wait().exits(exitOK).says("the target takes the writes")
}

// TestAt: a cutover waits for its time, and holds nobody up meanwhile.
func TestAt(t *testing.T) {
	u := synced(t, 16, 18)
	at := time.Now().Add(4 * time.Second).Truncate(time.Second)
	p := u.cutover(nil, "--at", at.Format(time.RFC3339))
	p.awaits("the switch begins at " + at.Format("15:04:05"))
	u.takesWrites()
	if released := find(t, p.wait().exits(exitOK).events(), plan.EventReleased).Time; released.Before(at) {
		t.Errorf("released %s before the time", at.Sub(released))
	}
}

// TestPanicFile: before the point of no return it undoes everything, wherever the switch is; behind it, nothing.
func TestPanicFile(t *testing.T) {
	u := synced(t, 14, 18)
	file := filepath.Join(t.TempDir(), "panic")
	before := u.snapshot()
	p := u.cutover(nil, "--hold", "--panic-file", file)
	p.awaits("pgleap cutover --go")
	touch(t, file)
	p.wait().exits(exitNotSwitched).says("the switch was not begun, no write was stopped", file)
	u.cutover(nil, "--panic-file", file).wait().exits(exitNotSwitched).says("not begun", file)
	remove(t, file)

	p = u.cutover([]string{stopAt + "=switch.prepared"}, "--panic-file", file, "--max-write-stall", "60s")
	awaitStopped(t, p)
	blocker := connect(t, u.targetURI)
	blocker.run("begin; lock table pgleap.marker in exclusive mode")
	w := startWriter(t, u.sourceURI, "insert into customers (name) values ('panic')")
	p.signal(syscall.SIGCONT)
	await(t, "writers wait", func() bool {
		return u.source.run("select count(*) from pg_locks where not granted and mode = 'RowExclusiveLock'") != "0"
	})
	began := time.Now()
	touch(t, file)
	w.servedAfter(began)
	p.wait().exits(exitNotSwitched).says("the switch was undone", "the source is writable again", file)
	w.stop()
	if waited := w.firstAfter(began); waited > time.Second {
		t.Errorf("writers waited %s after the panic file", waited)
	}
	blocker.run("rollback")
	u.takesWrites()
	u.unchanged(before)
	remove(t, file)

	p = u.cutover([]string{stopAt + "=switch.committed"}, "--panic-file", file)
	awaitStopped(t, p)
	touch(t, file)
	p.signal(syscall.SIGCONT)
	p.wait().exits(exitOK).says("too late, nothing is undone behind the point of no return", file)
}

// TestQuiet: nobody has to wait behind a transaction that lasts longer than the budget is likely to.
func TestQuiet(t *testing.T) {
	u := synced(t, 12, 18)
	app := u.application(u.sourceURI)
	pid := app.run("begin; update customers set name = 'long' where id = 1; select pg_backend_pid()")
	u.cutover(nil, "--quiet", "50ms", "--quiet-timeout", "200ms").wait().exits(exitNotReady).
		says("a transaction is open on the source for longer than 50 ms", "pid "+pid, "postgres on "+u.name, "shop_web", "idle in transaction", "select pg_backend_pid()", "select pg_terminate_backend("+pid+")", "no write was stopped")
	u.takesWrites()
	u.cutover(nil, "--quiet", "0", "--max-write-stall", "1s").wait().exits(exitNotSwitched).says("pid "+pid, "the source is writable again")

	reader := u.application(u.sourceURI)
	reader.run("begin; create temp table t as select count(*) from customers")
	p := u.cutover(nil)
	p.awaits("a quiet moment is waited for: a transaction is open on the source for longer than 1 s")
	u.takesWrites()
	app.run("commit")
	p.wait().exits(exitOK)
	reader.run("commit")
	u.target.is("long", "select name from customers where id = 1")
}

// TestRehearseOnProduction: writers meet a wait and no error, nothing of it stays, and the real one succeeds.
func TestRehearseOnProduction(t *testing.T) {
	for _, pair := range [][2]int{{10, 17}, {17, 18}} {
		t.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(t *testing.T) { testRehearseOnProduction(t, pair) })
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func testRehearseOnProduction(t *testing.T, pair [2]int) {
	u := synced(t, pair[0], pair[1])
	var writers []*writer
	for _, sql := range []string{"insert into customers (name) values ('load')", "update orders set note = 'y' where id = 7", "insert into orders (customer) values (1)"} {
		writers = append(writers, startWriter(t, u.sourceURI, sql))
	}
	before, definitions := u.snapshot(), [2]string{dump(t, u.sourceURI, "--schema-only"), dump(t, u.targetURI, "--schema-only")}
	began := time.Now()
	for range 3 {
		u.run(exitOK, "cutover", "--rehearse", "--confirm", u.name).says("Writes stood still for", "the real one would take about", "rehearsed, and given back")
	}
	for _, w := range writers {
		w.served()
		w.stop()
		if gap := w.longestGap(); gap > 5*time.Second {
			t.Errorf("a writer waited %s", gap)
		}
		if w.firstAfter(began) == longest {
			t.Error("a writer wrote nothing")
		}
	}
	u.unchanged(before)
	if now := [2]string{dump(t, u.sourceURI, "--schema-only"), dump(t, u.targetURI, "--schema-only")}; now != definitions {
		t.Errorf("pg_dump tells a rehearsal:\n%s\n%s", now[0], now[1])
	}
	if r := u.lastReport(); r.Outcome != pipeline.Rehearsed || r.Switch == nil || r.Switch.StallMS <= 0 || len(r.Timeline) < 5 {
		t.Errorf("the report of the rehearsal: %+v", r)
	}
	u.source.is("0", "select count(*) from pg_locks where mode = 'ShareRowExclusiveLock'")
	u.run(exitOK, "status").says("pgleap cutover")
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.is(u.source.run("select count(*), sum(id) from customers"), "select count(*), sum(id) from customers")
	u.run(exitNotReady, "cutover", "--rehearse", "--confirm", u.name).says("has been switched over")
}

// TestRehearseLeavesCopiesOut: what is copied in the switch would stay on the target.
func TestRehearseLeavesCopiesOut(t *testing.T) {
	u := startServers(t, 11, 16).upgrade(t, small+"; create unlogged table cache (id int primary key); insert into cache select generate_series(1, 30)")
	u.run(exitOK, "sync", "--copy-in-switch")
	u.run(exitOK, "cutover", "--rehearse", "--confirm", u.name).says("what is copied in the switch takes, which was left out (2 steps)")
	u.target.is("0", "select count(*) from cache")
	if r := u.lastReport(); r.LeftOut != 2 || r.Switch.Copied != 0 {
		t.Errorf("the report: %s", mustJSON(r))
	}
	blocker := connect(t, u.sourceURI)
	blocker.run("begin; insert into orders (customer) values (1)")
	folder := t.TempDir()
	u.run(exitNotSwitched, "cutover", "--rehearse", "--confirm", u.name, "--quiet", "0", "--max-write-stall", "500ms", "--report", folder).says("was undone", "the source is writable again")
	if r := u.lastReport(); r.Outcome != pipeline.Undone || !r.Rehearsal {
		t.Errorf("the report: %s", mustJSON(r))
	}
	if files, err := filepath.Glob(filepath.Join(folder, u.name+"-cutover-rehearsal-*Z.md")); err != nil || len(files) != 1 {
		t.Errorf("files %q, %v", files, err)
	}
	u.run(exitOK, "status", "--report").says("# Rehearsal of a cutover of run "+u.name+": undone", "The rehearsal did not come to its end")
	blocker.run("rollback")
	u.takesWrites()
	u.run(exitOK, "cutover", "--confirm", u.name)
	u.target.is("30", "select count(*) from cache")
}

// lastReport is what pgleap status --report --json prints.
func (u *upgrade) lastReport() (r pipeline.Report) {
	u.t.Helper()
	u.run(exitOK, "status", "--report", "--json").into(&r)
	return r
}

// TestSessionsAndReport: what clients of the old server saw is told, in files and from the journal.
func TestSessionsAndReport(t *testing.T) {
	servers := startServers(t, 15, 18)
	fresh := func(t *testing.T) *upgrade {
		u := servers.upgrade(t, small)
		u.run(exitNotReady, "status", "--report").says("has no report")
		u.run(exitOK, "sync")
		return u
	}
	t.Run("keep", func(t *testing.T) {
		u := fresh(t)
		app := u.application(u.sourceURI)
		folder := filepath.Join(t.TempDir(), "here")
		p := u.cutover([]string{stopAt + "=switch.released"}, "--report", folder)
		awaitStopped(t, p)
		for range 3 {
			if _, err := app.session.Exec(t.Context(), "insert into customers (name) values ('late')"); pg.Code(err) != "25006" {
				t.Errorf("a client of the old server got %v", err)
			}
		}
		p.signal(syscall.SIGCONT)
		p.wait().exits(exitOK).says("the report: " + folder)
		files, err := filepath.Glob(filepath.Join(folder, u.name+"-cutover-*Z.*"))
		if err != nil || len(files) != 2 {
			t.Fatalf("files %q, %v", files, err)
		}
		r := u.lastReport()
		if text, err := os.ReadFile(files[0]); err != nil || !sameJSON(t, text, mustJSON(r)) {
			t.Errorf("the file and the journal differ: %v\n%s\n%s", err, text, mustJSON(r))
		}
		if text, err := os.ReadFile(files[1]); err != nil || !contains(string(text), "# Cutover of run "+u.name+": switched", "Fence LSN "+r.Switch.FenceLSN, "3 writes of theirs met the fence", "shop\\_web") && !contains(string(text), "shop_web") {
			t.Errorf("%v\n%s", err, text)
		}
		c := r.Clients
		if r.Outcome != pipeline.Switched || c == nil || c.Terminated != 0 || c.Refused == nil || *c.Refused != 3 {
			t.Errorf("the report: %s", mustJSON(r))
		}
		if r.Applied == nil || r.Applied.LatestEndLSN == "" || r.Left.Version == r.TakesOver.Version || r.Left.SystemID == r.TakesOver.SystemID {
			t.Errorf("the report: %s", mustJSON(r))
		}
		u.run(exitOK, "status", "--report").says("## Timeline", "the point of no return", "## Sequences", "public.customers", "## The way back")
		app.session.Close()
	})
	t.Run("terminate", func(t *testing.T) {
		u := fresh(t)
		app := u.application(u.sourceURI)
		file := filepath.Join(t.TempDir(), "a file")
		touch(t, file)
		o := u.cutover(nil, "--sessions", "terminate", "--report", file).wait().exits(exitOK)
		o.says("2 client sessions on the source were ended", "the report could not be written", "pgleap status --report prints it")
		if app.session.Alive() {
			if _, err := app.session.Exec(t.Context(), "select 1"); err == nil {
				t.Error("the client's session was not ended")
			}
		}
		if c := u.lastReport().Clients; c == nil || c.Terminated != 2 || len(c.Sessions) != 2 || c.Sessions[0].Application != "shop_web" {
			t.Errorf("the report: %s", mustJSON(c))
		}
	})
	t.Run("undone", func(t *testing.T) {
		u := fresh(t)
		blocker := connect(t, u.sourceURI)
		blocker.run("begin; lock table orders in share mode")
		u.run(exitNotSwitched, "cutover", "--confirm", u.name, "--max-write-stall", "200ms", "--quiet", "0")
		blocker.run("rollback")
		if r := u.lastReport(); r.Outcome != pipeline.Undone || !strings.Contains(r.Error, "not granted in time") {
			t.Errorf("the report: %s", mustJSON(r))
		}
		p := u.cutover([]string{killAt + "=release.done"})
		<-p.ended
		u.run(exitOK, "cutover", "--confirm", u.name)
		if r := u.lastReport(); r.Outcome != pipeline.Switched || !r.Earlier || r.Switch == nil || r.Switch.FenceLSN == "" {
			t.Errorf("the report of a cutover that went on: %s", mustJSON(r))
		}
	})
}

// sameJSON compares two documents as values.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	for _, d := range []struct {
		text []byte
		into *any
	}{{a, &x}, {b, &y}} {
		if err := json.Unmarshal(d.text, d.into); err != nil {
			t.Fatal(err)
		}
	}
	return string(mustJSON(x)) == string(mustJSON(y))
}

// TestRollbackControl: a rollback waits, is stopped, rehearsed and reported as a cutover is, with the sides swapped.
func TestRollbackControl(t *testing.T) {
	u := synced(t, 16, 18)
	u.run(exitOK, "cutover", "--confirm", u.name)
	if r := u.lastReport(); r.Left.Side != plan.Source || !strings.Contains(r.WayBack, "pgleap rollback, until pgleap finalize") {
		t.Errorf("the report of the cutover: %s", mustJSON(r))
	}
	w := startWriter(t, u.targetURI, "insert into customers (name) values ('on the target')")
	before := u.snapshot()
	u.run(exitOK, "rollback", "--rehearse", "--confirm", u.name).says("Writes stood still for", "the real one would take about")
	w.served()
	w.stop()
	u.unchanged(before)
	if r := u.lastReport(); r.Outcome != pipeline.Rehearsed || r.Verb != "rollback" || r.Left.Side != plan.Target || r.Left.Version == r.TakesOver.Version {
		t.Errorf("the report of the rehearsal: %s", mustJSON(r))
	}

	app := u.application(u.targetURI)
	pid := app.run("begin; update customers set name = 'long' where id = 1; select pg_backend_pid()")
	u.run(exitNotReady, "rollback", "--confirm", u.name, "--quiet", "50ms", "--quiet-timeout", "200ms").
		says("a transaction is open on the target for longer than 50 ms", "end it on the target with: select pg_terminate_backend("+pid+")", "run pgleap rollback again")
	app.run("commit")

	file := filepath.Join(t.TempDir(), "panic")
	hold := []string{"rollback", "--json", "--confirm", u.name, "--hold", "--panic-file", file, "--sessions", "terminate"}
	p := u.start(nil, hold...)
	p.awaits("pgleap rollback --go")
	touch(t, file)
	p.wait().exits(exitNotSwitched).says("not begun", file, "run pgleap rollback again")
	remove(t, file)

	p = u.start(nil, hold...)
	p.awaits("pgleap rollback --go")
	u.run(exitNotReady, "cutover", "--go").says("what waits is a rollback, not a cutover")
	u.run(exitOK, "rollback", "--go").says("the word is given to")
	p.wait().exits(exitOK).says("client sessions on the target were ended")
	r := u.lastReport()
	if r.Outcome != pipeline.Switched || r.Verb != "rollback" || r.Left.Side != plan.Target || r.Clients == nil || r.Clients.Terminated == 0 || r.Applied == nil || r.Applied.LatestEndLSN == "" || !strings.Contains(r.WayBack, "pgleap cutover") {
		t.Errorf("the report of the rollback: %s", mustJSON(r))
	}
	u.source.is("long", "select name from customers where id = 1")
}

// TestControlThroughPoolers: a rehearsal gives the poolers back, who goes past them is told, and what their clients saw
// is in the report.
func TestControlThroughPoolers(t *testing.T) {
	s := startServers(t, 14, 18)
	p := pooledUpgrade(t, s, 2)
	load := p.startLoad()
	past := p.application(p.sourceURI)
	log := filepath.Join(t.TempDir(), "hooks")
	o := p.switchOver(nil, p.cutoverArgs(p.byFile(), "--rehearse", "--on-before-switch", "echo before >> "+log, "--on-abort", `echo "abort $PGLEAP_MESSAGE" >> `+log)...).wait().exits(exitOK)
	o.says("Writes stood still for", "direct-clients: 1 session of postgres (shop_web) from 127.0.0.1 on the old server, past the poolers")
	if strings.Contains(o.stdout, "of web (") {
		t.Errorf("connections of the poolers are called direct:\n%s", o)
	}
	load.served()
	p.mustBeAt(s.source)
	if text, err := os.ReadFile(log); err != nil || string(text) != "before\nabort it was a rehearsal: everything is given back\n" {
		t.Errorf("hooks: %q, %v", text, err)
	}
	past.session.Close()
	p.switchOver(nil, p.cutoverArgs(p.byFile())...).wait().exits(exitOK)
	load.served()
	p.mustBeAt(s.target)
	load.judge(p.target)
	r := p.lastReport()
	if r.Clients == nil || len(r.Clients.Poolers) != 2 || r.Clients.Poolers[0].Figures["queries"] < 0 || r.Clients.Poolers[0].Figures["clients_active"]+r.Clients.Poolers[0].Figures["clients_waiting"] != 3 || r.Switch.HoldMS <= 0 {
		t.Errorf("the report: %s", mustJSON(r))
	}
}

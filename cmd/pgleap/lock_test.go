package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestWaitingSync: the slot cannot be made while a write transaction is open in another database. Sync says whom
// it waits for, holds the lock against others meanwhile, and can be interrupted or given a deadline; what it
// made stays for the next sync, but never a slot that nobody reads.
func TestWaitingSync(t *testing.T) {
	u := startServers(t, 10, 17).upgrade(t, small)
	u.source.run("alter role postgres set lock_timeout = '1s'") // waiting for transactions is waiting for locks
	before := u.snapshot()
	elsewhere := connect(t, u.servers.source.URI("postgres"))
	pid := elsewhere.run("create table t (i int); begin; insert into t values (1); select pg_backend_pid()")
	noSlot := func() { u.source.is("", "select slot_name from pg_replication_slots") }

	o := u.run(exitNotReady, "sync", "--slot-timeout", "2s").says(
		"the slot waits for open write transactions: pid "+pid, "could not be made within 2 s", "postgres on postgres, application test", "idle in transaction",
		"insert into t", "select pg_terminate_backend("+pid+")", "--slot-timeout")
	if strings.Contains(o.stdout, "✓ publish") {
		t.Errorf("the stage is called done:\n%s", o)
	}
	noSlot()

	first := u.start(nil, "sync", "--json")
	first.awaits("the slot waits for open write transactions: pid " + pid)
	holder := u.source.run("select pid from pg_locks where locktype = 'advisory' and granted")
	var others []*process // side by side: each is patient with the lock for seconds
	for _, verb := range [][]string{{"sync"}, {"abort"}, {"cutover", "--confirm", u.name}, {"finalize", "--confirm", u.name}} {
		others = append(others, u.start(nil, verb...))
	}
	for _, other := range others {
		other.wait().exits(exitLocked).says("another pgleap holds the run lock on the source", "pgleap/sync as postgres from 127.0.0.1, pid "+holder, "pg_terminate_backend("+holder+")")
	}
	u.run(exitOK, "status").says("publish") // it reads, and needs no lock
	first.interrupt().exits(exitInterrupted).says("stopping at the next safe point", `"exit":130`)
	eventuallyGone(t, u.source, "select slot_name from pg_replication_slots")

	// One that is killed leaves its half-made slot to the server; the next one takes over.
	killed := u.start(nil, "sync")
	killed.awaits("the slot waits for open write transactions")
	_ = killed.cmd.Process.Kill()
	<-killed.ended

	// The copy: the target's table is locked once it is there, so that the copy waits.
	elsewhere.run("commit")
	copying := connect(t, u.targetURI)
	copying.run("begin; lock table orders in share mode")
	second := u.start(nil, "sync", "--json")
	second.awaits(`"step":"subscribe.enable"`)
	second.awaits(`"tables_ready"`)
	second.interrupt().exits(exitInterrupted).says(`"exit":130`)
	u.source.is("pgleap_"+u.name, "select slot_name from pg_replication_slots where slot_name ~ '^pgleap_'")
	u.run(exitNotReady, "cutover", "--confirm", u.name).says("not synchronised yet", "pgleap sync")
	copying.run("rollback")

	u.run(exitOK, "sync").says("✓ finish")
	u.target.is("220", "select (select count(*) from orders) + (select count(*) from customers)")
	u.run(exitOK, "sync")
	u.run(exitOK, "abort")
	u.unchanged(before)
}

// interrupt sends the operator's Ctrl-C; it must end within seconds.
func (p *process) interrupt() finished {
	p.t.Helper()
	sent := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	o := p.wait()
	if took := time.Since(sent); took > 10*time.Second {
		p.t.Errorf("pgleap %s ended %s after the interrupt", p.args, took)
	}
	return o
}

func eventuallyGone(t *testing.T, c *client, query string) {
	t.Helper()
	await(t, "nothing more of "+query, func() bool { return c.run(query) == "" })
}

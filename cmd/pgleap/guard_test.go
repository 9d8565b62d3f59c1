package main

import (
	"testing"

	"pgleap/plan"
)

// TestGuardUnseen: a transaction that has switched the guard off for itself is waited for, and named, because it still
// holds its table's lock; what it wrote is on the target in the end. The gate refuses a trigger that stays off, and one
// that is gone.
func TestGuardUnseen(t *testing.T) {
	u := startServers(t, 15, 17).upgrade(t, small)
	u.run(exitOK, "sync", "--fence", "guard")
	cutover := []string{"cutover", "--confirm", u.name, "--max-write-stall", "1s", "--quiet", "0"}

	u.source.run("alter table orders disable trigger " + plan.FenceTrigger)
	u.run(exitNotReady, cutover...).says("fence-proof: the fence's trigger on public.orders is switched off", "enable trigger "+plan.FenceTrigger)
	u.source.run("alter table orders enable trigger " + plan.FenceTrigger)

	app := connect(t, u.sourceURI)
	pid := app.run("begin; alter table orders disable trigger " + plan.FenceTrigger + `; insert into orders (customer, note) values (1, 'unseen');
		alter table orders enable trigger ` + plan.FenceTrigger + "; select pg_backend_pid()")
	u.run(exitNotSwitched, cutover...).says("wait for writers that the guard does not see: not granted in time", "pid "+pid, "pg_terminate_backend("+pid+")")
	u.source.run("insert into customers (name) values ('in between')") // nobody else waits
	app.run("commit")
	u.run(exitOK, cutover...)
	u.target.is("1|1", "select (select count(*) from orders where note = 'unseen'), (select count(*) from customers where name = 'in between')")
	u.run(exitOK, "finalize", "--confirm", u.name)
}

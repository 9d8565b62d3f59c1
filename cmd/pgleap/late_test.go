package main

import "testing"

// TestLateDefinition: a table that is created after the catalogs were compared and before the locks are there
// would not be fenced, and what is written to it would stay behind. The switch sees it, behind its locks.
func TestLateDefinition(t *testing.T) {
	u := startServers(t, 14, 18).upgrade(t, small)
	u.run(exitOK, "sync")
	blocker := connect(t, u.sourceURI)
	blocker.run("begin; lock table orders in share mode")
	p := u.start(nil, "cutover", "--json", "--confirm", u.name, "--quiet", "0", "--max-write-stall", "20s")
	await(t, "the switch waits for its locks", func() bool {
		return u.source.run(`select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.application_name = 'pgleap/cutover' and l.mode = 'ShareRowExclusiveLock'`) != "0"
	})
	u.source.run("create table late (id int primary key); insert into late values (1)")
	blocker.run("rollback")
	p.wait().exits(exitNotSwitched).says("was created, changed or dropped", "the source is writable again")
	u.source.run("insert into late values (2)")
	u.run(exitDrift, "cutover", "--confirm", u.name).says("public.late")
	u.source.run("drop table late")
	u.run(exitOK, "cutover", "--confirm", u.name)
}

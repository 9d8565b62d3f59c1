package main

import (
	"testing"
)

// TestRollback goes there and back and there again: nothing that was written on either side is lost.
func TestRollback(t *testing.T) {
	for _, pair := range [][2]int{{13, 18}} {
		s := startServers(t, pair[0], pair[1])
		u := s.upgrade(t, small)
		before := u.source.contents()
		u.run(exitOK, "sync")
		u.run(exitOK, "cutover", "--confirm", u.name).says("pgleap rollback goes back")
		u.target.run("insert into customers (name) values ('on the target')")
		u.run(exitOK, "rollback", "--confirm", u.name)
		u.source.is("on the target", "select name from customers order by id desc limit 1")
		u.source.run("insert into customers (name) values ('on the source')")
		u.run(exitOK, "rollback", "--confirm", u.name).says("nothing to do")
		u.run(exitOK, "sync")
		u.run(exitOK, "cutover", "--confirm", u.name)
		u.target.is("on the target|on the source", "select string_agg(name, '|' order by id) from customers where id > 20")
		u.target.run("insert into customers (name) values ('again')")
		u.run(exitOK, "finalize", "--confirm", u.name)
		u.source.same("source", before, u.source.contents())
		u.target.is("", ours)
	}
}

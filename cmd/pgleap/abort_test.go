package main

import "testing"

func TestAbort(t *testing.T) {
	p := startServers(t, 13, 18)
	t.Run("after sync", func(t *testing.T) {
		u := p.upgrade(t, small)
		before := u.snapshot()
		t.Log(u.run(exitOK, "sync"))
		t.Log(u.run(exitOK, "status"))
		t.Log(u.run(exitOK, "abort"))
		u.unchanged(before)
	})
}

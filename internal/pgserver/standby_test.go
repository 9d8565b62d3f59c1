package pgserver

import (
	"strconv"
	"testing"
)

func TestStandby(t *testing.T) {
	for _, major := range []int{10, newest} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			s := StartT(t, Options{Major: major})
			if standby, err := s.StartStandby(t.Context()); err == nil {
				t.Errorf("a standby of a running server on port %d", standby.Port)
			}
			query(t, s.URI("postgres"), "create table kept (n int); insert into kept values (7)")
			if err := s.Halt(t.Context(), "fast"); err != nil {
				t.Fatal(err)
			}
			standby, err := s.StartStandby(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := standby.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
			if err := s.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := query(t, standby.URI("postgres"), "select n::text || pg_is_in_recovery() from kept"); got != "7true" {
				t.Errorf("the standby says %q", got)
			}
			const id = "select system_identifier from pg_control_system()"
			if query(t, s.URI("postgres"), id) != query(t, standby.URI("postgres"), id) {
				t.Error("the standby has a system identifier of its own")
			}
		})
	}
}

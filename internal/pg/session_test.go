package pg_test

import (
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
)

// TestTimeoutsOfTheRoleDoNotCount: a session of ours waits as long as it has to.
func TestTimeoutsOfTheRoleDoNotCount(t *testing.T) {
	for major, timeouts := range map[int][]string{
		10: {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"},
		18: {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"},
	} {
		a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: major}).URI("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		for round := range 2 {
			s, err := pg.OpenSource(t.Context(), a, pg.Options{Verb: "test"})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range timeouts {
				var value string
				if err := s.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&value); err != nil || value != "0" {
					t.Errorf("%d: %s is %q in round %d: %v", major, name, value, round, err)
				}
				if _, err := s.Exec(t.Context(), "alter role current_user set "+name+" = '1h'"); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
		}
	}
}

package sync

import (
	"context"
	"errors"
	"testing"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestHoldNeedsSuperuser: a role that may not lock rows of pg_subscription_rel is told so, and nothing stays open.
func TestHoldNeedsSuperuser(t *testing.T) {
	for _, major := range []int{13, 18} {
		server := pgserver.StartT(t, pgserver.Options{Major: major})
		admin, err := pg.OpenTarget(t.Context(), address(t, server.URI("postgres")), pg.Options{Verb: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		mustExec(t, admin.Session, "create role plain login password 'plain'")
		for user, want := range map[string]error{"plain": ErrMayNotHold, server.Superuser: nil} {
			password := server.Password
			if user == "plain" {
				password = "plain"
			}
			h := &Hold{
				Open: func(ctx context.Context) (*pg.Target, error) {
					return pg.OpenTarget(ctx, address(t, server.URIFor(user, password, "postgres")), pg.Options{Verb: "hold"})
				},
				Lanes: []plan.Lane{plan.Whole("shop", nil)}, Why: func() string { return "a test" }, Tell: func(string) {}, Sizes: map[plan.Name]int64{},
			}
			if err := h.Begin(t.Context()); !errors.Is(err, want) {
				t.Errorf("%d: %s: %v", major, user, err)
			} else if err == nil {
				err = h.Follow(t.Context()) // no table is left
				if err != nil {
					t.Errorf("%d: %v", major, err)
				}
			}
			h.Close()
		}
	}
}

package sync_test

import (
	"strings"
	"testing"

	"pgleap/plan"
	pgsync "pgleap/sync"
)

// TestNotices: behind a rollback the clients are on the old server, behind a cutover on the new one.
func TestNotices(t *testing.T) {
	run := plan.RunID("shop")
	for _, c := range []struct {
		step plan.Step
		on   string
	}{
		{pgsync.FollowStep("release.back", run.Back(), plan.Source), "new server"},
		{pgsync.FollowStep("back-release.follow", run, plan.Target), "old server"},
		{pgsync.DropSlotStep("back-release.slot", run.Back(), plan.Target), "old server"},
	} {
		if !strings.HasSuffix(c.step.Notice, "the clients are on the "+c.on) {
			t.Errorf("%s: %q", c.step.ID, c.step.Notice)
		}
	}
}

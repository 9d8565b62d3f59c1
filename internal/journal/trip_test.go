package journal

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgleap/internal/pg"
	"pgleap/internal/pgserver"
	"pgleap/plan"
)

// TestTrips: what is recorded of a trip counts until its end, what is recorded of the run for ever.
func TestTrips(t *testing.T) {
	a, err := pg.ParseAddress(pgserver.StartT(t, pgserver.Options{Major: 15}).URI("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := pg.OpenTarget(t.Context(), a, pg.Options{Verb: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	if _, err := target.Exec(t.Context(), Definition([]plan.Lane{plan.Whole("trip", nil)}, "1", "there")); err != nil {
		t.Fatal(err)
	}
	j := On(target, "trip")
	record := func(kind string, stage plan.StageID, step plan.StepID, data any) {
		t.Helper()
		if err := j.Record(t.Context(), kind, stage, step, data); err != nil {
			t.Fatal(err)
		}
	}
	type state struct {
		Stages             []plan.StageID
		Steps              []plan.StepID
		Released, Returned bool
		RolledBack         bool
		Result             int
	}
	look := func() (s state) {
		t.Helper()
		stages, err1 := j.Stages(t.Context())
		steps, err2 := j.Steps(t.Context())
		_, err3 := j.Data(t.Context(), Released, "", &s.Result)
		var err4, err5, err6 error
		s.Released, err4 = j.Has(t.Context(), Released)
		s.Returned, err5 = j.Has(t.Context(), Returned)
		s.RolledBack, err6 = j.Has(t.Context(), RolledBack)
		for _, err := range []error{err1, err2, err3, err4, err5, err6} {
			if err != nil {
				t.Fatal(err)
			}
		}
		s.Stages, s.Steps = slices.Sorted(maps.Keys(stages)), slices.Sorted(maps.Keys(steps))
		return s
	}
	is := func(want state) {
		t.Helper()
		if diff := cmp.Diff(want, look()); diff != "" {
			t.Error(diff)
		}
	}
	there := func(result int) {
		record(Released, plan.StageSwitch, "", result)
		record(StageDone, plan.StageSwitch, "", nil)
		record(StepDone, plan.StageRelease, "release.disable", nil)
		record(StageDone, plan.StageTeardown, "", nil)
	}
	record(StepDone, plan.StageFinish, "finish.compare", nil)
	record(StageDone, plan.StageFinish, "", nil)
	there(1)
	out := state{
		Stages: []plan.StageID{plan.StageFinish, plan.StageSwitch, plan.StageTeardown}, Steps: []plan.StepID{"finish.compare", "release.disable"},
		Released: true, Result: 1,
	}
	is(out)
	record(Returned, plan.StageBackSwitch, "", 2)
	record(StageDone, plan.StageBackSwitch, "", nil)
	record(StepDone, plan.StageBackRelease, "back-release.follow", nil)
	back := out
	back.Stages = []plan.StageID{plan.StageBackSwitch, plan.StageFinish, plan.StageSwitch, plan.StageTeardown}
	back.Steps, back.Returned = []plan.StepID{"back-release.follow", "finish.compare", "release.disable"}, true
	is(back)
	record(RolledBack, "", "", nil)
	is(state{Stages: []plan.StageID{plan.StageFinish}, Steps: []plan.StepID{"finish.compare"}, RolledBack: true})
	there(3)
	out.Result, out.RolledBack = 3, true
	is(out)
}

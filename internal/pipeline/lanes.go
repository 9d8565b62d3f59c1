package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// racePatience is how long a foreign key between two lanes is tried again.
const racePatience = 5 * time.Minute

// raced is what the server said of a foreign key that it refused although the key may hold, because one lane was ahead of the
// other; "" of anything else. The same words about the same row once more, when the lanes have met, are the truth.
func (r *run) raced(s plan.Step, err error) string {
	if len(r.lanes) > 1 && s.Batch == "foreign-keys" && pg.Code(err) == pg.CodeForeignKey {
		return pg.Message(err)
	}
	return ""
}

// meet lets the lanes come to one point, on sessions of its own: neighbours of the step use the run's.
func (r *run) meet(ctx context.Context, stage plan.StageID, s plan.Step, err error) error {
	r.emit(plan.Event{Kind: plan.EventNote, Stage: stage, Step: s.ID, Message: s.Title + ": one lane was ahead of another, tried again when both have brought what is committed now: " + plan.OneLine(pg.Message(err))})
	source, err := r.OpenSource(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := r.OpenTarget(ctx)
	if err != nil {
		return err
	}
	defer target.Close()
	late, err := r.lanesMeet(ctx, source, target, racePatience)
	if err == nil && late != nil {
		err = plan.Fail(plan.KindNotReady, "see pgleap status; run the same command again when it follows", "%s has not brought a marker in %s", late, plan.HumanDuration(racePatience))
	}
	return err
}

// LaneStatus is how one lane is.
type LaneStatus struct {
	N      int            `json:"lane"`
	Name   string         `json:"name"` // of its publication, slot and subscription
	States map[string]int `json:"tables_by_state"`
	Bytes  int64          `json:"copied_bytes"`
	Total  int64          `json:"total_bytes"`
	Lag    *pgsync.Lag    `json:"lag,omitempty"`
	Growth float64        `json:"retained_bytes_per_second"`
	Worker *pgsync.Worker `json:"apply_worker,omitempty"`

	// CatchUp is in how many seconds the lag is gone at the rate of this moment; none where it is small, or grows.
	CatchUp *float64 `json:"seconds_to_catch_up,omitempty"`

	lane    plan.Lane
	before  pgsync.Lag
	tables  int  // of the subscription
	loading bool // a copy in streams goes on: nothing is followed yet
}

// readLanes looks at the slot of each lane that has to have one, and at its tables.
func (r *run) readLanes(ctx context.Context, st *Status) ([]LaneStatus, error) {
	recorded, err := r.journal.Steps(ctx)
	if err != nil {
		return nil, err
	}
	if missing, err := r.unpublished(ctx); err != nil {
		return nil, err
	} else if missing != "" {
		st.Problems = append(st.Problems, Problem{Level: Critical, Text: missing, Mend: mendAnew})
	}
	built, toBuild := r.builtEarly(recorded)
	var lanes []LaneStatus
	for _, l := range r.lanes {
		before, err := pgsync.ReadLag(ctx, r.source, l.Run)
		if errors.Is(err, pgsync.ErrNoSlot) {
			if r.slotMade(l, recorded) {
				st.Problems = append(st.Problems, Problem{Level: Critical, Text: "the replication slot " + l.Object() + " is gone from the source: what was written since cannot come any more", Mend: mendAnew})
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		s := LaneStatus{N: l.N, Name: l.Object(), States: map[string]int{}, lane: l, before: before}
		tables, err := r.laneTables(ctx, &s, recorded, built)
		if err != nil {
			return nil, err
		}
		for i := range tables {
			tables[i].Built, tables[i].ToBuild = built[tables[i].Table], toBuild[tables[i].Table]
		}
		sizes := map[plan.Name]int64{}
		for _, rel := range l.Tables {
			sizes[rel.Name] = rel.Bytes
			s.Total += rel.Bytes
		}
		for _, t := range tables {
			s.States[t.State]++
		}
		_, s.Bytes = pgsync.Progress(tables, sizes)
		st.Tables = append(st.Tables, tables...)
		lanes = append(lanes, s)
	}
	return lanes, nil
}

// builtEarly counts what is there, and what is to be, of what is done with each table as soon as its rows are.
func (r *run) builtEarly(recorded map[plan.StepID]bool) (built, toBuild map[plan.Name]int) {
	built, toBuild = map[plan.Name]int{}, map[plan.Name]int{}
	stage, _ := r.plan.Stage(plan.StageSubscribe)
	for _, step := range stage.Steps {
		if step.Early {
			toBuild[*step.Table]++
			if recorded[step.ID] {
				built[*step.Table]++
			}
		}
	}
	return built, toBuild
}

// laneTables reads how far the rows of each table are.
func (r *run) laneTables(ctx context.Context, s *LaneStatus, recorded map[plan.StepID]bool, built map[plan.Name]int) ([]pgsync.TableState, error) {
	tables, err := pgsync.Tables(ctx, r.target, s.lane.Run)
	if s.tables = len(tables); err != nil || s.tables > 0 || r.Options.Copy != plan.CopyStream {
		return tables, err
	}
	s.loading = true
	made := r.slotMade(s.lane, recorded) // recorded when the last row was there
	there := map[plan.Name]bool{}
	for _, rel := range s.lane.Tables {
		there[rel.Name] = made || built[rel.Name] > 0
	}
	return pgsync.StreamTables(ctx, r.target, s.lane.Tables, there)
}

// sumUp says of the run what is true of its lanes: how far is the one that is furthest behind, and what is kept by the slot
// that keeps most.
func (st *Status) sumUp() {
	st.States = map[string]int{}
	for i, l := range st.Lanes {
		for state, n := range l.States {
			st.States[state] += n
		}
		st.Bytes += l.Bytes
		if l.Lag == nil {
			continue
		}
		if i == 0 || st.Lag == nil {
			lag := *l.Lag
			st.Lag, st.Growth, st.CatchUp = &lag, l.Growth, l.CatchUp
			continue
		}
		kept, growth := st.Lag.Retained, st.Growth
		if l.Lag.Bytes > st.Lag.Bytes {
			lag := *l.Lag
			st.Lag, st.CatchUp = &lag, l.CatchUp
		}
		if st.Lag.Retained = kept; l.Lag.Retained > kept {
			st.Lag.Retained, growth = l.Lag.Retained, l.Growth
		}
		st.Growth = growth
	}
}

// offerLanes is the plan of more lanes, with its numbers, where apply cannot keep up.
func (r *run) offerLanes() string {
	if r.Options.AllTables {
		return "; a run without --all-tables could be followed on several lanes"
	}
	n, bound := plan.PossibleLanes(r.sel, r.plan.Source, r.plan.Target)
	if n <= len(r.lanes) {
		return fmt.Sprintf("; more lanes than %d do not help (%s)", len(r.lanes), bound)
	}
	return fmt.Sprintf("; or begin anew on more lanes, each with an apply worker of its own: pgleap abort, then pgleap sync --lanes %d (now %d; %s)", n, len(r.lanes), bound)
}

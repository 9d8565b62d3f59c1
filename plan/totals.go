package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Totals are the numbers that a reviewer asks for first. Zero is "not known" but for counts.
type Totals struct {
	Tables      int   `json:"tables"`
	Bytes       int64 `json:"bytes"`        // rows that are copied, without indexes
	Indexes     int   `json:"indexes"`      // built after the copy, unique and exclusion constraints among them
	IndexBytes  int64 `json:"index_bytes"`  // as they are on the source
	ForeignKeys int   `json:"foreign_keys"` // checked after the copy

	Copy    Estimate `json:"copy"`
	Index   Estimate `json:"index"` // indexes, then foreign keys
	Analyze Estimate `json:"analyze"`
	Stall   Estimate `json:"stall"` // how long writes stand still at the switch

	RetainedWAL int64  `json:"retained_wal"`        // bytes that the source will keep until the target follows
	WALLimit    int64  `json:"wal_limit"`           // bytes it may keep: max_slot_wal_keep_size; -1 is no limit
	WALBasis    string `json:"wal_basis,omitempty"` // where RetainedWAL comes from
}

// SyncWorkers is how many tables the target copies at a time: PostgreSQL's default is two, and of the workers
// of the whole cluster apply needs one.
func SyncWorkers(target Facts) int {
	n, err := strconv.Atoi(target.Settings["max_sync_workers_per_subscription"])
	if err != nil {
		n = 2
	}
	if all, err := strconv.Atoi(target.Settings["max_logical_replication_workers"]); err == nil {
		n = min(n, all-1)
	}
	return max(n, 1)
}

func (e *estimator) totals(p Plan) Totals {
	t := Totals{Tables: len(e.selection.Published), WALLimit: walLimit(p.Source)}
	for _, r := range e.selection.Published {
		t.Bytes, t.IndexBytes = t.Bytes+r.Bytes, t.IndexBytes+r.IndexBytes
	}
	subscribe, _ := p.Stage(StageSubscribe)
	finish, _ := p.Stage(StageFinish)
	steps := slices.Concat(subscribe.Steps, finish.Steps)
	builds, keys, analyses := e.batch(steps, "indexes", "keys"), e.batch(steps, "foreign-keys"), e.batch(steps, "analyze")
	t.Indexes, t.ForeignKeys = builds.n, keys.n
	t.Copy = e.copy()
	t.Index = Estimate{
		Seconds: builds.seconds + keys.seconds,
		Basis: fmt.Sprintf("%s: %s, then %s: %s; %s", pluralOf(builds.n, "index", "indexes"), humanSeconds(builds.seconds),
			plural(keys.n, "foreign key"), humanSeconds(keys.seconds), e.jobsBasis()),
	}
	t.Analyze = Estimate{Seconds: analyses.seconds, Basis: plural(analyses.n, "table") + "; " + e.jobsBasis()}
	t.Stall = e.stall()
	if copies := CopyEstimateOf(p.Source, e.selection, p.Options).Seconds(); copies > 0 {
		t.Stall.Seconds += copies
		t.Stall.Basis = fmt.Sprintf("%s for what is copied in the switch; ", humanSeconds(copies)) + t.Stall.Basis
	}
	e.wal(&t, p.Source.Cluster)
	return t
}

// batchTime is how long the steps of a batch take together.
type batchTime struct {
	n       int
	seconds float64
}

// batch adds up the steps of batches that run side by side, the heaviest first: no faster than the longest of them.
func (e *estimator) batch(steps []Step, batches ...string) batchTime {
	var b batchTime
	var sum, longest float64
	for _, st := range steps {
		if !slices.Contains(batches, st.Batch) {
			continue
		}
		b.n++
		if st.Estimate != nil {
			sum, longest = sum+st.Estimate.Seconds, max(longest, st.Estimate.Seconds)
		}
	}
	if b.n > 0 {
		together := e.jobSpeedup()
		if batches[0] == "foreign-keys" {
			together = (1 + together) / 2 // those of one table wait for each other
		}
		b.seconds = max(sum/together, longest) + e.connect()
	}
	return b
}

func (e *estimator) connect() float64 { return cmp.Or(e.rates.Connect, unmeasuredConnect) }

// jobSpeedup is how much faster the jobs are together than one of them. On a machine that others use, several
// get a larger share than one does, which a short measurement does not show: the middle is taken.
func (e *estimator) jobSpeedup() float64 {
	jobs := float64(max(e.plan.Options.Jobs, 1))
	if e.rates.JobSpeedup == 0 {
		return 1
	}
	return (jobs + min(jobs, e.rates.JobSpeedup)) / 2
}

func (e *estimator) jobsBasis() string {
	jobs := max(e.plan.Options.Jobs, 1)
	switch {
	case len(e.tables) == 0:
		return notMeasured
	case jobs == 1:
		return "measured on samples, one at a time"
	case e.rates.JobSpeedup == 0:
		return fmt.Sprintf("measured on samples, %d at a time, as if they gained nothing", jobs)
	}
	return fmt.Sprintf("measured on samples, %d at a time, which is %s times as fast as one", jobs, humanNumber(e.jobSpeedup()))
}

// Of a first copy, beside the rows: each table needs a worker of its own, which connects to the source twice
// and makes a slot, and the end is only seen when we look.
const (
	copyConnects = 4
	copyTrips    = 12
	copyEnd      = 0.25
)

// copy is the first copy of all tables. The order in which the workers take them is not ours: on the average
// half of the longest table is still to be done when the others are ready.
func (e *estimator) copy() Estimate {
	workers := e.syncWorkers()
	together := 1.0
	if e.rates.CopySpeedup > 0 {
		together = min(e.rates.CopySpeedup, float64(workers))
	}
	var sum, longest, bytes, known float64
	for _, r := range e.selection.Published {
		seconds := e.copied(r)
		sum, longest, bytes = sum+seconds, max(longest, seconds), bytes+float64(r.Bytes)
		if _, ok := e.tables[r.Name]; ok {
			known += float64(r.Bytes)
		}
	}
	perTable := copyConnects*e.connect() + copyTrips*cmp.Or(e.rates.SourceRoundTrip, unmeasuredTrip)
	n := float64(len(e.selection.Published) + 1) // the marker is one
	seconds := sum/together + longest*(1-1/together)/2 + n*perTable/together + copyEnd
	return Estimate{Seconds: seconds, Basis: e.copyBasis(workers, together, sum, bytes, known, perTable)}
}

// syncWorkers is how many tables are copied at a time: each lane has its own workers, and all share the cluster's.
func (e *estimator) syncWorkers() int {
	one, lanes := SyncWorkers(e.plan.Target), len(e.plan.Lanes)
	if lanes < 2 {
		return one
	}
	n := one * lanes
	if all, ok := setting(e.plan.Target, "max_logical_replication_workers"); ok {
		n = min(n, all-lanes)
	}
	return max(n, 1)
}

func (e *estimator) copyBasis(workers int, together, sum, bytes, known, perTable float64) string {
	tables := plural(len(e.selection.Published), "table")
	if len(e.tables) == 0 {
		return fmt.Sprintf("%s in %s at %s/s, %s; %s for each table", HumanBytes(int64(bytes)), tables, HumanBytes(unmeasuredCopy), notMeasured, humanSeconds(perTable))
	}
	first := e.rates.Tables[0].Table
	basis := fmt.Sprintf("%s in %s at %s/s, measured on %s", HumanBytes(int64(bytes)), tables, HumanBytes(int64(bytes/max(sum, 1e-9))), OneLine(first.String()))
	if n := len(e.tables) - 1; n > 0 {
		basis += fmt.Sprintf(" and %d more (%.0f %% of the bytes)", n, 100*known/max(bytes, 1))
	}
	if together > 1 || workers > 1 && e.rates.CopySpeedup > 0 {
		basis += fmt.Sprintf("; %d at a time (max_sync_workers_per_subscription), which is %s times as fast as one", workers, humanNumber(together))
	}
	return basis + fmt.Sprintf("; %s for each table", humanSeconds(perTable))
}

// What the switch takes beside the round trips, in times of a session.
const (
	stallFixed    = 1.4
	stallTable    = 0.02 // lock, trigger
	stallSequence = 0.02
	stallTrips    = 8 // to the source, one behind the other
	connectTrips  = 4 // of a new session, which are the network's
	leastConnect  = 0.002
)

// stall is from the first lock to the release, when nobody holds a lock that is in the way and the target has
// caught up.
func (e *estimator) stall() Estimate {
	tables, sequences := len(e.selection.Fenced()), len(e.selection.Sequences)
	source, target := cmp.Or(e.rates.SourceRoundTrip, unmeasuredTrip), cmp.Or(e.rates.TargetRoundTrip, unmeasuredTrip)
	seconds := e.session()*(stallFixed+float64(tables)*stallTable+float64(sequences)*stallSequence) + stallTrips*source + 2*target
	word := "measured"
	if e.rates.SourceRoundTrip == 0 {
		word = notMeasured
	}
	return Estimate{Seconds: seconds, Basis: fmt.Sprintf("%s to lock and fence, %s to carry over, %d round trips of %s (%s); longer by what open writers take to end and by the lag",
		plural(tables, "table"), plural(sequences, "sequence"), stallTrips+2, humanSeconds(source), word)}
}

// wal is what the source writes while the rows are copied: the slot holds it back until the target follows.
func (e *estimator) wal(t *Totals, c ClusterFacts) {
	if c.WALBytesPerSecond <= 0 {
		t.WALBasis = "how much WAL the source writes in a second was not measured"
		return
	}
	t.RetainedWAL = int64(c.WALBytesPerSecond * t.Copy.Seconds)
	t.WALBasis = fmt.Sprintf("%s of copy at %s/s of WAL", humanSeconds(t.Copy.Seconds), HumanBytes(int64(c.WALBytesPerSecond)))
	if c.WALBasis != "" {
		t.WALBasis += ", " + c.WALBasis
	}
}

// walLimit reads max_slot_wal_keep_size, which is in MB; before 13 there is none.
func walLimit(source Facts) int64 {
	mb, err := strconv.ParseInt(source.Settings["max_slot_wal_keep_size"], 10, 64)
	if err != nil || mb < 0 {
		return -1
	}
	return mb << 20
}

func humanSeconds(s float64) string { return HumanDuration(time.Duration(s * float64(time.Second))) }

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

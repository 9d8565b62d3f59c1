// Package plan is the upgrade as a value: the facts that were read, the findings that judge them, and the
// stages and steps that follow. It is pure: no driver, no clock, no input or output. What is printed from a
// Plan is what is executed from it.
package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Side says on which server something stands.
type Side string

// The two servers of an upgrade: the one that is left, and the one that takes over.
const (
	Source Side = "source"
	Target Side = "target"
)

// RunID names an upgrade. Every object of ours carries it: pgleap_<run>.
type RunID string

// Object returns the name of the run's publication, slot and subscription.
func (r RunID) Object() string { return "pgleap_" + string(r) }

// Valid says why r cannot be the name of a run: it becomes the name of a replication slot, which PostgreSQL
// limits to lower-case letters, digits and underscores.
func (r RunID) Valid() error {
	if r == "" || len(r) > 40 {
		return fmt.Errorf("run name %q: must have 1 to 40 characters", string(r))
	}
	for _, c := range r {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("run name %q: only a-z, 0-9 and _ may stand in the name of a replication slot; choose one with --run", string(r))
		}
	}
	if i := strings.LastIndex(string(r), laneMark); i >= 0 && r[i:] != laneMark && strings.Trim(string(r[i+len(laneMark):]), "0123456789") == "" {
		return fmt.Errorf("run name %q: so is a lane of run %q called; choose another one with --run", string(r), string(r[:i]))
	}
	return nil
}

// StageID and StepID are stable names: journal, tests and documents use them.
type (
	StageID string
	StepID  string
)

// The stages, in the order in which they are walked.
const (
	StageSchema    StageID = "schema"
	StagePublish   StageID = "publish"
	StageSubscribe StageID = "subscribe"
	StageFinish    StageID = "finish"
	StageRefresh   StageID = "refresh" // only with --refresh-matviews; each cutover walks it anew
	StageSwitch    StageID = "switch"
	StageRelease   StageID = "release"
	StageTeardown  StageID = "teardown"
	StageFinalize  StageID = "finalize"
)

// The stages of the way back, in their order. They are walked by a rollback alone, each time anew.
const (
	StageBackSwitch  StageID = "back-switch"
	StageBackRelease StageID = "back-release"
)

// Hazard says why a step may hurt.
type Hazard string

// The hazards a step can carry.
const (
	HazardLocks       Hazard = "takes a lock that makes writers wait"
	HazardWaits       Hazard = "waits for open transactions"
	HazardRetainsWAL  Hazard = "makes the source keep WAL until the slot is dropped"
	HazardLoad        Hazard = "reads or writes every row"
	HazardStopsWrites Hazard = "writes stop"
	HazardFinal       Hazard = "cannot be undone"
)

// Action is what a step does. SQL is sent as it is printed. Call, where it is set, names the part of pgleap
// that carries the step out because SQL alone cannot; SQL then holds the statements that the Call sends.
// The zero Action does nothing.
type Action struct {
	SQL  string `json:"sql,omitempty"`
	Call string `json:"call,omitempty"`
}

// IsZero tells whether the action does nothing.
func (a Action) IsZero() bool { return a == Action{} }

// State is what a probe finds.
type State string

// The answers of a probe. Any other text names a drift.
const (
	Absent State = "absent"
	Done   State = "done"
)

// Step is the smallest unit that is done, probed and undone.
type Step struct {
	ID    StepID `json:"id"`
	Title string `json:"title"` // imperative, one line
	Why   string `json:"why,omitempty"`
	On    Side   `json:"on"`

	// Probe is a query with one row and one text: 'absent', 'done', or a sentence that names the drift.
	// A Recorded step has none: its record in the journal commits with its statements.
	Probe    string `json:"probe,omitempty"`
	Recorded bool   `json:"recorded,omitempty"`

	Do      Action   `json:"do"`
	Undo    Action   `json:"undo,omitzero"`
	Hazards []Hazard `json:"hazards,omitempty"`

	// For readers; nothing of it is carried out.
	Lock     string    `json:"lock,omitempty"`     // the strongest lock and on what, such as "SHARE ROW EXCLUSIVE on every table"; "" where it is none that anybody meets
	Notice   string    `json:"notice,omitempty"`   // what production notices, in plain words; "" is nothing
	Estimate *Estimate `json:"estimate,omitempty"` // how long it takes; nil where nothing is known
	Table    *Name     `json:"table,omitempty"`    // the one that the step works on, where it is one
	Lane     int       `json:"lane,omitempty"`     // the one that the step works on; 0 is the first, or none
	ByHand   string    `json:"by_hand,omitempty"`  // a psql script that does the step without pgleap, where Do has a Call; made by Script
	Trouble  string    `json:"trouble,omitempty"`  // what is known to go wrong here, and what to do then

	// Except names objects that a comparison of the catalogs leaves out, as "kind name".
	Except []string `json:"except,omitempty"`

	// Batch: neighbouring steps of one batch run side by side.
	Batch string `json:"batch,omitempty"`
	// Early: the step begins as soon as the rows of Table are there, beside the copy of the others, which is the nearest
	// step above that is not early. In a table the batches go one after the other.
	Early bool `json:"early,omitempty"`
	// Weight orders the steps of a batch, heaviest first: bytes of the table.
	Weight int64 `json:"weight,omitempty"`
}

// Stage ends only where it is safe to stop.
type Stage struct {
	ID            StageID       `json:"id"`
	Title         string        `json:"title"`
	Steps         []Step        `json:"steps"`
	Budget        time.Duration `json:"budget,omitempty"`          // nanoseconds; the stage ends within this, or it fails
	UndoOnFailure bool          `json:"undo_on_failure,omitempty"` // undone automatically
	Session       string        `json:"session,omitempty"`         // what a session that runs the stage's statements sends first
	Speed         string        `json:"speed,omitempty"`           // what it sends then: it changes nothing but how quick the stage is
	Irreversible  bool          `json:"irreversible,omitempty"`    // from here on there is no abort
}

// sessionText is what a session of the stage sends first.
func (s Stage) sessionText() string { return strings.Trim(s.Session+"\n"+s.Speed, "\n") }

// Step returns the step with that id.
func (s Stage) Step(id StepID) (Step, bool) {
	for _, st := range s.Steps {
		if st.ID == id {
			return st, true
		}
	}
	return Step{}, false
}

// Options are what the operator chose; they are part of the plan.
type Options struct {
	Schemas        []string      `json:"schemas,omitempty"`
	Tables         []string      `json:"tables,omitempty"`
	ExcludeTables  []string      `json:"exclude_tables,omitempty"`
	AllTables      bool          `json:"all_tables,omitempty"` // publish FOR ALL TABLES
	SequenceMargin int64         `json:"sequence_margin"`
	MaxWriteStall  time.Duration `json:"max_write_stall"`            // nanoseconds
	SlotTimeout    time.Duration `json:"slot_timeout"`               // nanoseconds; how long the slot's creation may wait
	Jobs           int           `json:"jobs"`                       // parallel index builds and ANALYZE
	Copy           CopyWay       `json:"copy,omitempty"`             // how the first copy is made; in a plan "" is CopyServer
	CopyWhy        string        `json:"copy_why,omitempty"`         // why it was chosen, where the operator did not
	LateKeys       []Name        `json:"late_keys,omitempty"`        // tables whose primary key CopyServer makes behind the rows; nil chooses
	CopyJobs       int           `json:"copy_jobs,omitempty"`        // streams, or tables of CopyServer, at a time; 0: a stream for each processor of the source, 2 to 4, one less where clients write to it, or as many tables as the target's settings allow
	CopySplit      int64         `json:"copy_split,omitempty"`       // bytes that a stream takes of a table at a time
	MaxCopyRate    int64         `json:"max_copy_rate,omitempty"`    // bytes per second; of this and the next two 0 is not said, and below 0 is none
	MaxRetainedWAL int64         `json:"max_retained_wal,omitempty"` // bytes; where the source keeps more for us the run is given up
	MaxStandbyLag  int64         `json:"max_standby_lag,omitempty"`  // bytes; where a standby of the source is farther behind the copy pauses
	Lanes          int           `json:"lanes,omitempty"`            // at most so many; 0 as the facts call for
	Spread         [][]Name      `json:"-"`                          // of a saved plan: which tables share a lane; nil chooses
	SameMajor      bool          `json:"same_major,omitempty"`
	Fence          Fence         `json:"fence,omitempty"`  // how writers are stopped; "" is FenceAuto
	Accept         []string      `json:"accept,omitempty"` // ids of checks whose warnings were read and accepted

	// Repairs: what pgleap does itself only when it is told to.
	SetReplicaIdentity bool `json:"set_replica_identity,omitempty"` // give tables a replica identity while they are published
	Roles              bool `json:"roles,omitempty"`                // create missing roles, with memberships and passwords
	Settings           bool `json:"settings,omitempty"`             // carry ALTER DATABASE … SET and ALTER ROLE … SET over
	RefreshMatViews    bool `json:"refresh_matviews,omitempty"`     // once more, right before the switch
	CopyInSwitch       bool `json:"copy_in_switch,omitempty"`       // what cannot be published, while writes stand still

	NoWayBack bool `json:"no_way_back,omitempty"` // the source does not follow the target after the release: no rollback
}

// CopyWay is how the rows get to the target at first.
type CopyWay string

const (
	// CopyServer is PostgreSQL's own first copy: from server to server, a worker a table, keys in place.
	CopyServer CopyWay = "server"
	// CopyStream is many streams through this machine at the slot's snapshot, keys built afterwards.
	CopyStream CopyWay = "stream"
)

// Estimate is how long something will take, and why we believe it.
type Estimate struct {
	Seconds float64 `json:"seconds"`
	Basis   string  `json:"basis"` // such as "212 GB at 91 MB/s, measured"
}

// Plan is the whole upgrade: it can be printed, saved, compared and carried out.
type Plan struct {
	Format   int       `json:"format"`
	Tool     string    `json:"tool"`
	Run      RunID     `json:"run"`
	Source   Facts     `json:"source"`
	Target   Facts     `json:"target"`
	Options  Options   `json:"options"`
	Findings []Finding `json:"findings"`
	Stages   []Stage   `json:"stages"`
	Back     []Stage   `json:"back,omitempty"` // of pgleap rollback; none where there is no way back
	Totals   *Totals   `json:"totals,omitempty"`
	Lanes    [][]Name  `json:"lanes,omitempty"` // which published tables share a lane; none where all do
}

// Format is the version of the plan's encoding; a plan of another format is refused.
const Format = 1

// Stage returns the stage with that id, one of the way back too.
func (p Plan) Stage(id StageID) (Stage, bool) {
	for _, s := range slices.Concat(p.Stages, p.Back) {
		if s.ID == id {
			return s, true
		}
	}
	return Stage{}, false
}

// Severity of a finding.
type Severity string

// Blocker stops sync; Warning is printed and remembered; Info is only printed.
const (
	Blocker Severity = "blocker"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is one thing that a check saw: the object, the consequence in plain words, and a fix to paste.
type Finding struct {
	Check    string   `json:"check"` // stable id, such as replica-identity
	Severity Severity `json:"severity"`
	On       Side     `json:"on"`
	Object   string   `json:"object,omitempty"`
	Problem  string   `json:"problem"`
	Fix      string   `json:"fix,omitempty"`      // a sentence
	SQL      string   `json:"sql,omitempty"`      // statements to paste
	Accepted bool     `json:"accepted,omitempty"` // a warning that the operator accepted, by --accept
}

// Blocked tells whether a finding stops the upgrade.
func Blocked(fs []Finding) bool {
	for _, f := range fs {
		if f.Severity == Blocker {
			return true
		}
	}
	return false
}

// EventKind says what an Event reports.
type EventKind string

// The kinds of events.
const (
	EventStage    EventKind = "stage"    // a stage began
	EventStep     EventKind = "step"     // a step is done
	EventSkipped  EventKind = "skipped"  // a stage or step was done already
	EventProgress EventKind = "progress" // numbers while something long runs
	EventWaiting  EventKind = "waiting"  // what is waited for, and on whom
	EventDone     EventKind = "done"     // a stage is done
	EventReleased EventKind = "released" // the point of no return is passed and the target may be written
	EventUndone   EventKind = "undone"   // a step or stage was taken back
	EventNote     EventKind = "note"     // something the operator should know
	EventResult   EventKind = "result"   // the last line of --json: the exit code and the error
)

// Event is everything that the progress display, the journal and --json ever show of a run.
type Event struct {
	Time    time.Time      `json:"time"`
	Kind    EventKind      `json:"event"`
	Stage   StageID        `json:"stage,omitempty"`
	Step    StepID         `json:"step,omitempty"`
	Message string         `json:"message,omitempty"`
	Seconds float64        `json:"seconds,omitempty"`
	Bytes   int64          `json:"bytes,omitempty"` // progress: done so far
	Total   int64          `json:"total,omitempty"` // progress: of how many
	Data    map[string]any `json:"data,omitempty"`
}

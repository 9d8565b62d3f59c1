package plan

// TrialFacts is what the trial load into a scratch database of the target showed. All of it is volatile.
type TrialFacts struct {
	NotTried    NotTried          `json:"not_tried,omitempty"` // why nothing was loaded; empty where it was
	Error       string            `json:"error,omitempty"`     // with NotTried: the program's or the server's own words
	Objects     int               `json:"objects"`             // that pg_dump wrote
	Loaded      int               `json:"loaded"`              // of them; the others have the shape of one that was
	Failures    []TrialFailure    `json:"failures,omitempty"`
	Differences []TrialDifference `json:"differences,omitempty"`
	Seconds     float64           `json:"seconds"`
	Rates       *Rates            `json:"rates,omitempty"`
}

// NotTried says why there was no trial load.
type NotTried string

// The reasons. Of NotTriedBlocked another check tells.
const (
	NotTriedBlocked  NotTried = "blocked"
	NotTriedCreateDB NotTried = "createdb" // the role may not create databases
	NotTriedDump     NotTried = "dump"     // pg_dump failed
	NotTriedFailed   NotTried = "failed"   // the scratch database could not be made or used
)

// TrialFailure is a definition that the target refuses, and is a first cause.
type TrialFailure struct {
	Object    string   `json:"object"`    // kind and name
	Statement string   `json:"statement"` // in one line
	Code      string   `json:"code"`
	Message   string   `json:"message"`
	Hint      string   `json:"hint,omitempty"`
	Role      string   `json:"role,omitempty"`      // that the target does not know, or that ours is no member of
	Extension string   `json:"extension,omitempty"` // that could not be made
	Needs     int      `json:"needs,omitempty"`     // how many more definitions fail because of it
	NeededBy  []string `json:"needed_by,omitempty"` // the first of them
}

// TrialDifference is an object that loaded, and is not what it is on the source.
type TrialDifference struct {
	Object string `json:"object"` // kind and name
	Source string `json:"source,omitempty"`
	Target string `json:"target,omitempty"`
}

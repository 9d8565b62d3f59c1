package plan

// TrialFacts is what the trial load into a scratch database of the target showed. All of it is volatile.
type TrialFacts struct {
	Rates *Rates `json:"rates,omitempty"`
}

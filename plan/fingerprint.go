package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Fingerprint identifies what the plan will do and to what: two plans with the same fingerprint are
// interchangeable. It is the SHA-256, in hexadecimal, of the essence's JSON.
func (p Plan) Fingerprint() string {
	sum := sha256.Sum256(settled(essence(p)).json())
	return hex.EncodeToString(sum[:])
}

// The essence of a plan is what has to be the same when a plan is carried out, or gone on with, later and
// from elsewhere. Left out is
//   - what moves by itself: sizes, row counts, counters, open transactions, minor versions;
//   - what another machine or role sees differently: address, user, its rights, the pg_dump that was found.
//     The checks judge these anew each time;
//   - what our own walk changes: everything that stands on the target, leftovers, schema pgleap, replica
//     identities, read-only settings;
//   - words and speed: findings and their acceptance, titles, estimates, the tool's version, weights, the number of jobs.
type planEssence struct {
	Format  int
	Run     RunID
	Options Options
	Source  sourceEssence
	Target  serverEssence
	Stages  []stageEssence
	Back    []stageEssence
	Lanes   [][]Name `json:",omitempty"` // a run of one lane has the fingerprint that it always had
}

type serverEssence struct {
	Major    int
	SystemID string
	Database string
	Encoding string
	Recovery bool
}

type sourceEssence struct {
	serverEssence
	Settings    map[string]string
	Schemas     []string
	Relations   []Relation
	Sequences   []Sequence
	ForeignKeys []ForeignKey
	Extensions  []Extension
	RolesUsed   []string
}

type stageEssence struct {
	ID            StageID
	Budget        time.Duration
	UndoOnFailure bool
	Irreversible  bool
	Session       string
	Steps         []stepEssence
}

type stepEssence struct {
	ID       StepID
	On       Side
	Probe    string
	Recorded bool
	Do, Undo Action
	Batch    string
	Early    bool `json:",omitempty"`
	Except   []string
	Lane     int `json:",omitempty"`
}

// ourSchema holds the journal and the marker, on both servers: pgleap's own, never the application's.
const ourSchema = "pgleap"

// essentialSettings decide whether and how the plan can be carried out; others are headroom, which the
// checks judge anew.
var essentialSettings = []string{"wal_level"}

func essence(p Plan) planEssence {
	o := p.Options
	o.Jobs, o.SlotTimeout, o.Accept, o.CopyJobs, o.CopySplit, o.CopyWhy = 0, 0, nil, 0, 0, ""
	if o.Copy == CopyServer { // a plan that says nothing means it
		o.Copy = ""
	}
	o.MaxCopyRate, o.MaxRetainedWAL, o.MaxStandbyLag = 0, 0, 0
	e := planEssence{Format: p.Format, Run: p.Run, Options: o, Source: essenceOfSource(p.Source), Target: essenceOfServer(p.Target), Lanes: p.Lanes}
	for _, s := range p.Stages {
		e.Stages = append(e.Stages, essenceOfStage(s))
	}
	for _, s := range p.Back {
		e.Back = append(e.Back, essenceOfStage(s))
	}
	return e
}

func (e planEssence) json() []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic("plan: the essence holds only what JSON can say: " + err.Error())
	}
	return text
}

// settled returns e as it is after it was saved and read: a name that is not valid UTF-8, or an empty list
// that was not nil, does not survive that, and is no drift.
func settled(e planEssence) planEssence {
	var out planEssence
	if err := json.Unmarshal(e.json(), &out); err != nil {
		panic("plan: the essence can be read back: " + err.Error())
	}
	return out
}

func essenceOfServer(f Facts) serverEssence {
	return serverEssence{Major: f.Version.Major(), SystemID: f.SystemID, Database: f.Database, Encoding: f.Encoding, Recovery: f.Recovery}
}

func essenceOfSource(f Facts) sourceEssence {
	e := sourceEssence{serverEssence: essenceOfServer(f), Settings: map[string]string{}}
	for _, name := range essentialSettings {
		if v, ok := f.Settings[name]; ok {
			e.Settings[name] = v
		}
	}
	for _, r := range f.Relations {
		if r.Name.Schema != ourSchema {
			e.Relations = append(e.Relations, essenceOfRelation(r))
		}
	}
	for _, s := range f.Sequences {
		if s.Name.Schema != ourSchema {
			e.Sequences = append(e.Sequences, s)
		}
	}
	for _, k := range f.ForeignKeys {
		if k.From.Schema != ourSchema {
			e.ForeignKeys = append(e.ForeignKeys, k)
		}
	}
	for _, s := range f.Schemas {
		if s != ourSchema {
			e.Schemas = append(e.Schemas, s)
		}
	}
	e.Extensions = append(e.Extensions, f.Extensions...)
	e.RolesUsed = append(e.RolesUsed, f.RolesUsed...)
	e.sort()
	return e
}

// sort makes the essence independent of the order in which the facts were read.
func (e *sourceEssence) sort() {
	slices.Sort(e.Schemas)
	slices.Sort(e.RolesUsed)
	slices.SortStableFunc(e.Relations, func(a, b Relation) int { return compareNames(a.Name, b.Name) })
	slices.SortStableFunc(e.Sequences, func(a, b Sequence) int { return compareNames(a.Name, b.Name) })
	slices.SortStableFunc(e.ForeignKeys, func(a, b ForeignKey) int {
		return cmp.Or(compareNames(a.From, b.From), cmp.Compare(a.Name, b.Name), compareNames(a.To, b.To))
	})
	slices.SortStableFunc(e.Extensions, func(a, b Extension) int { return cmp.Compare(a.Name, b.Name) })
}

func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
}

func essenceOfRelation(r Relation) Relation {
	r.OID, r.Rows, r.Bytes, r.IndexBytes, r.Changes, r.UniqueIndex, r.Disorder = 0, 0, 0, 0, 0, "", false
	// sync may set the replica identity itself, and puts it back at the end.
	r.Identity, r.IdentityUsable, r.IdentityIndex, r.IdentityCandidate = "", false, "", ""
	r.IdentityGenerated, r.NoEquality = nil, nil
	return r
}

func essenceOfStage(s Stage) stageEssence {
	e := stageEssence{ID: s.ID, Budget: s.Budget, UndoOnFailure: s.UndoOnFailure, Irreversible: s.Irreversible, Session: s.Session}
	for _, st := range s.Steps {
		e.Steps = append(e.Steps, stepEssence{
			ID: st.ID, On: st.On, Probe: st.Probe, Recorded: st.Recorded, Do: st.Do, Undo: st.Undo, Batch: st.Batch, Early: st.Early, Except: st.Except, Lane: st.Lane,
		})
	}
	sortBatches(e.Steps)
	return e
}

// sortBatches orders the steps of each batch by name: they stand heaviest first, and weights move.
func sortBatches(steps []stepEssence) {
	for from := 0; from < len(steps); {
		to := from + 1
		for to < len(steps) && steps[from].Batch != "" && steps[to].Batch == steps[from].Batch {
			to++
		}
		slices.SortStableFunc(steps[from:to], func(a, b stepEssence) int { return cmp.Compare(a.ID, b.ID) })
		from = to
	}
}

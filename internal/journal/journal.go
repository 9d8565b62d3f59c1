// Package journal keeps the history of a run in schema pgleap on the target, and the lock that lets one
// operator at a time walk it.
//
// The journal stands on the target because it must survive the operator's machine, and production is to be
// touched as little as possible. It decides between stages; within a stage the catalogs do, and for
// statements on the target the record commits in one transaction with them.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// format is the version of the journal's tables. A journal of a newer format is refused.
const format = 1

// Run is the head of a journal: what was planned, and between which two servers.
type Run struct {
	ID             plan.RunID
	Plan           plan.Plan
	Fingerprint    string
	SourceSystemID string
	TargetSystemID string
	Created        time.Time
}

// Journal is the history of one run.
type Journal struct {
	target *pg.Target
	run    plan.RunID
}

// On returns the journal of the run on that target; it reads nothing yet.
func On(t *pg.Target, run plan.RunID) *Journal { return &Journal{target: t, run: run} }

// ErrOtherRun is returned when the target's journal belongs to another run.
var ErrOtherRun = errors.New("the target belongs to another run of pgleap")

const exists = `select to_regclass('pgleap.run') is not null`

// Load returns the run that stands in the journal, or nil when there is none.
func (j *Journal) Load(ctx context.Context) (*Run, error) {
	var there bool
	if err := j.target.QueryRow(ctx, exists).Scan(&there); err != nil {
		return nil, fmt.Errorf("look for the journal: %w", err)
	}
	if !there {
		return nil, nil
	}
	var r Run
	var id, text string
	var f int
	err := j.target.QueryRow(ctx, `select run, format, plan, fingerprint, source_system_id, target_system_id, created from pgleap.run`).
		Scan(&id, &f, &text, &r.Fingerprint, &r.SourceSystemID, &r.TargetSystemID, &r.Created)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	r.ID = plan.RunID(id)
	if f > format {
		return nil, fmt.Errorf("the journal on the target has format %d, this pgleap knows %d: use the newer pgleap that wrote it", f, format)
	}
	if r.ID != j.run {
		return nil, plan.Fail(plan.KindBlocked, fmt.Sprintf("go on with it by --run %s, or take it back with: pgleap abort --run %s", r.ID, r.ID),
			"%w: run %q, begun %s; this is run %q", ErrOtherRun, r.ID, r.Created.Format(time.DateTime), j.run)
	}
	if r.Plan, err = plan.Decode(strings.NewReader(text)); err != nil {
		return nil, fmt.Errorf("read the plan in the journal: %w", err)
	}
	return &r, nil
}

// Definition is what the journal creates on the target: part of the printed plan.
func Definition(lanes []plan.Lane, sourceSystemID, sourceAddress string) string {
	return `create schema pgleap;
comment on schema pgleap is ` + plan.QuoteLiteral(fmt.Sprintf("pgleap run=%s side=target other=%s", lanes[0].Run, sourceSystemID)) + `;
create table pgleap.run (run text primary key, format int not null, tool text not null, plan text not null, fingerprint text not null,
  source_system_id text not null, target_system_id text not null, created timestamptz not null default now());
create table pgleap.event (id bigserial primary key, at timestamptz not null default clock_timestamp(), kind text not null,
  stage text not null default '', step text not null default '', data jsonb);
` + plan.Marked(lanes).Definition() + `;
` + plan.FenceDefinition(sourceAddress)
}

// Create makes the journal by definition, as the plan prints it, and writes the plan into it, in one transaction.
func (j *Journal) Create(ctx context.Context, p plan.Plan, definition string) error {
	var text strings.Builder
	if err := p.Encode(&text); err != nil {
		return err
	}
	err := j.target.InTransaction(ctx, func() error {
		if _, err := j.target.Exec(ctx, definition); err != nil {
			return err
		}
		_, err := j.target.Exec(ctx, `insert into pgleap.run (run, format, tool, plan, fingerprint, source_system_id, target_system_id)
			values ($1, $2, $3, $4, $5, $6, $7)`, string(p.Run), format, p.Tool, text.String(), p.Fingerprint(), p.Source.SystemID, p.Target.SystemID)
		return err
	})
	if err != nil {
		return fmt.Errorf("create the journal on the target: %w", err)
	}
	return nil
}

// The kinds of records that decide something.
const (
	StepDone  = "step-done"
	StepAnew  = "step-anew" // a step that was done is to be done anew: what it was done with is gone
	StageDone = "stage-done"
	Before    = "before"   // what was found before an act, needed to take it back
	Made      = "made"     // what a step has really changed on the target, where it may have found it done
	Restored  = "restored" // what was made was taken back
	Released  = "released"
	Undone    = "undone"
	Holding   = "holding"  // a switch is about to hold the clients of its poolers; undone, released and repaired end it
	Repaired  = "repaired" // the clients that a switch held go on behind its fence, by hand; it is not finished
	Aborting  = "aborting" // an abort was begun
	Checked   = "checked"  // every check was made, and none blocked
	Marked    = "marked"   // an attempt's marker is committed, at this LSN of the side that is left; undone ends it
	Limits    = "limits"   // what a later sync said of the WAL that may be kept, and of the copy's speed: the newest counts
	Report    = "report"   // what a cutover, a rollback or a rehearsal of one did: decides nothing

	// Released and the stages of a trip count until its end, which is RolledBack: behind it the run is ready for a
	// cutover, as it was before the first.
	Returned   = "returned"    // the source takes the writes again
	RolledBack = "rolled-back" // and the target follows it
)

// ofTrip is the condition that a record is of the trip that is under way, or of the run as a whole.
const ofTrip = `((kind not in ('released', 'returned') and stage not in ('switch', 'release', 'teardown', 'back-switch', 'back-release'))
  or id > coalesce((select max(id) from pgleap.event where kind = 'rolled-back'), 0))`

// Has tells whether there is a record of that kind: since the last rollback, where it is of a trip.
func (j *Journal) Has(ctx context.Context, kind string) (there bool, err error) {
	if err = j.target.QueryRow(ctx, `select exists (select from pgleap.event where kind = $1 and `+ofTrip+`)`, kind).Scan(&there); err != nil {
		err = fmt.Errorf("read the journal: %w", err)
	}
	return there, err
}

// Last returns which of the kinds was recorded last, with its data; "" for none of them.
func (j *Journal) Last(ctx context.Context, kinds ...string) (kind string, data json.RawMessage, err error) {
	var text string
	err = j.target.QueryRow(ctx, `select kind, coalesce(data::text, 'null') from pgleap.event where kind = any ($1::text[]) order by id desc limit 1`, kinds).Scan(&kind, &text)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the journal: %w", err)
	}
	return kind, json.RawMessage(text), nil
}

// Record appends one record.
func (j *Journal) Record(ctx context.Context, kind string, stage plan.StageID, step plan.StepID, data any) error {
	return RecordOn(ctx, j.target, kind, stage, step, data)
}

// RecordOn appends one record on a session of the caller's, so that it commits with what it records.
func RecordOn(ctx context.Context, t *pg.Target, kind string, stage plan.StageID, step plan.StepID, data any) error {
	var text *string
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("record %s of %s: %w", kind, step, err)
		}
		s := string(b)
		text = &s
	}
	if _, err := t.Exec(ctx, `insert into pgleap.event (kind, stage, step, data) values ($1, $2, $3, $4::jsonb)`, kind, string(stage), string(step), text); err != nil {
		return fmt.Errorf("record %s of %s: %w", kind, step, err)
	}
	return nil
}

// Steps returns the steps that are recorded as done, and Stages the stages; of those of a trip since the last
// rollback.
func (j *Journal) Steps(ctx context.Context) (map[plan.StepID]bool, error) {
	return readSet[plan.StepID](ctx, j.target, `select step from pgleap.event where kind in ($1, $2) and `+ofTrip+`
group by step having (array_agg(kind order by id desc))[1] = $1`, StepDone, StepAnew)
}

// Stages returns the finished stages.
func (j *Journal) Stages(ctx context.Context) (map[plan.StageID]bool, error) {
	return readSet[plan.StageID](ctx, j.target, `select distinct stage from pgleap.event where kind = $1 and `+ofTrip, StageDone)
}

// RecordStatement is what RecordOn sends for a step that is done, to stand among other statements.
func RecordStatement(stage plan.StageID, step plan.StepID) string {
	return fmt.Sprintf("insert into pgleap.event (kind, stage, step) values (%s, %s, %s)", plan.QuoteLiteral(StepDone), plan.QuoteLiteral(string(stage)), plan.QuoteLiteral(string(step)))
}

func readSet[T ~string](ctx context.Context, q pg.Querier, sql string, args ...any) (map[T]bool, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	m := map[T]bool{}
	for _, n := range names {
		m[T(n)] = true
	}
	return m, nil
}

// Data reads the newest record of that kind and step into v; false when there is none, or none since the last
// rollback where it is of a trip.
func (j *Journal) Data(ctx context.Context, kind string, step plan.StepID, v any) (bool, error) {
	var text string
	err := j.target.QueryRow(ctx, `select data::text from pgleap.event where kind = $1 and step = $2 and data is not null and `+ofTrip+` order by id desc limit 1`, kind, string(step)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	return true, json.Unmarshal([]byte(text), v)
}

package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/pg"
)

// Two kinds of records by which a process that holds its switch back and another terminal talk.
const (
	AwaitsWord = "awaits-word" // a process waits for the word
	Word       = "word"        // it was given to the one whose record data names
)

// Hold is a process that has prepared its switch and waits for the word.
type Hold struct {
	ID    int64  // of its record
	Verb  string // what it is about to do
	By    string // who waits
	PID   int    // of its session on the target: the hold falls with it
	Since time.Time
	Given bool // the word was given already
}

// backendStart names a server process for good, together with its pid. As text it is the same in every session.
const backendStart = `to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`

// BeginHold records that this process waits for the word, and returns the record's id.
func (j *Journal) BeginHold(ctx context.Context, verb, by string) (id int64, err error) {
	err = j.target.QueryRow(ctx, `insert into pgleap.event (kind, data) select '`+AwaitsWord+`', jsonb_build_object('verb', $1::text, 'by', $2::text, 'pid', pid, 'started', `+backendStart+`)
		from pg_stat_activity where pid = pg_backend_pid() returning id`, verb, by).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("record that the switch is held back: %w", err)
	}
	return id, nil
}

// WordBy tells who has given the word to the hold; "" is nobody yet.
func (j *Journal) WordBy(ctx context.Context, hold int64) (by string, err error) {
	err = j.target.QueryRow(ctx, `select coalesce(max(data ->> 'by'), '') from pgleap.event where kind = '`+Word+`' and (data ->> 'hold')::bigint = $1`, hold).Scan(&by)
	if err != nil {
		return "", fmt.Errorf("look for the word: %w", err)
	}
	return by, nil
}

// Held returns the process that holds its switch back, or nil. One that was killed does not hold any more.
func (j *Journal) Held(ctx context.Context) (*Hold, error) {
	var h Hold
	// Of another role's session the start may not be read: then its pid must do.
	err := j.target.QueryRow(ctx, `select e.id, e.at, e.data ->> 'verb', e.data ->> 'by', a.pid,
		exists (select from pgleap.event g where g.kind = '`+Word+`' and (g.data ->> 'hold')::bigint = e.id)
		from pgleap.event e join pg_stat_activity a on a.pid = (e.data ->> 'pid')::int
		where e.kind = '`+AwaitsWord+`' and coalesce(`+backendStart+` = e.data ->> 'started', true) order by e.id desc limit 1`).
		Scan(&h.ID, &h.Since, &h.Verb, &h.By, &h.PID, &h.Given)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look who holds the switch back: %w", err)
	}
	return &h, nil
}

// GiveWord lets the held switch begin. It needs no run lock: the process that waits has it.
func GiveWord(ctx context.Context, t *pg.Target, hold int64, by string) error {
	return RecordOn(ctx, t, Word, "", "", map[string]any{"hold": hold, "by": by})
}

package sync

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"pgleap/internal/pg"
)

// begin begins the part's transaction on the target, with the lock that the COPY needs, and returns its id.
func (w *stream) begin(ctx context.Context, p part) (id string, err error) {
	script := "begin; lock table only " + p.table.Name.String() + " in row exclusive mode; "
	if p.frozen() {
		script = "begin; truncate only " + p.table.Name.String() + "; "
	}
	rows, err := w.to.Script(ctx, script+"select txid_current()")
	if err != nil {
		return "", err
	}
	return rows[len(rows)-1][0], nil
}

// commit ends the part's transaction. Where the connection is lost meanwhile, another session asks what became of it: the
// rows must not come twice.
func (w *stream) commit(ctx context.Context, id string) error {
	_, lost := w.to.Exec(ctx, "commit")
	if lost == nil || ctx.Err() != nil || pg.Code(lost) != "" && !pg.ConnectionLost(lost) {
		return lost
	}
	w.close()
	there, err := w.asked(ctx, id)
	if err != nil {
		return &unknownCommitError{fmt.Errorf("%w; what became of its transaction is not known: %w", lost, err)}
	}
	if !there {
		return lost
	}
	return nil
}

// unknownCommitError is of a part whose rows may be there, or not.
type unknownCommitError struct{ err error }

func (e *unknownCommitError) Error() string { return e.err.Error() }
func (e *unknownCommitError) Unwrap() error { return e.err }

// askFor is how long another session is tried to be had that knows.
const askFor = 30 * time.Second

// asked asks another session whether the transaction was committed.
func (w *stream) asked(ctx context.Context, id string) (bool, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for began := time.Now(); ; {
		t, err := w.Connect.OpenTarget(ctx)
		if err == nil {
			defer t.Close()
			if err := endOrphan(ctx, t, id); err != nil {
				return false, err
			}
			return committed(ctx, t, id)
		}
		if time.Since(began) > askFor {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
}

// endOrphan ends the session of the transaction, which may not know for long that nobody is there any more. A commit that has
// begun goes on to its end.
func endOrphan(ctx context.Context, t *pg.Target, id string) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if err == nil { // pg_stat_activity has the id without its epoch
		_, err = t.Exec(ctx, fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and backend_xid::text = '%d'", uint32(n)))
	}
	if err != nil {
		return fmt.Errorf("end the session of transaction %s: %w", id, err)
	}
	return nil
}

// committed waits until the transaction has ended, and tells how.
func committed(ctx context.Context, t *pg.Target, id string) (bool, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		var status string
		if err := t.QueryRow(ctx, "select coalesce(txid_status("+id+"), 'forgotten')").Scan(&status); err != nil {
			return false, fmt.Errorf("ask what became of transaction %s: %w", id, err)
		}
		switch status {
		case "committed", "aborted":
			return status == "committed", nil
		case "forgotten":
			return false, fmt.Errorf("the target does not know any more what became of transaction %s", id)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
}

package rehearsal

import (
	"context"
	"fmt"
	"time"

	"pgleap/internal/pg"
)

// snapshot is the target as it was at the release: taken between the tool's word and the clients' first
// write there, read at leisure afterwards.
type snapshot struct {
	session *pg.Session
	ledger  []position    // of the ledger's sequences; others do not move meanwhile
	took    time.Duration // what the clients waited for it
}

// pinned make the text form of a value the same on every major (postgres.md, E.1).
var pinned = map[string]string{
	"search_path": "pg_catalog", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "timezone": "UTC",
	"bytea_output": "hex", "extra_float_digits": "3", "lc_monetary": "C", "xmloption": "content", "client_encoding": "UTF8",
}

// openPinned opens a superuser's session with those settings.
func openPinned(ctx context.Context, server Server) (*pg.Session, error) {
	settings := map[string]string{}
	for k, v := range quiet {
		settings[k] = v
	}
	for k, v := range pinned {
		settings[k] = v
	}
	return pg.OpenClient(ctx, server.address, pg.Options{Verb: "rehearsal", Settings: settings})
}

const ledgerPositions = `select 'ledger.ticket', last_value, is_called from ledger.ticket
	union all select 'ledger.entry_id_seq', last_value, is_called from ledger.entry_id_seq
	union all select 'ledger.mark_id_seq', last_value, is_called from ledger.mark_id_seq`

// prepareSnapshot does beforehand what can be done: the connection, the first reading of the catalogs, and a
// begin, which takes no snapshot yet.
func prepareSnapshot(ctx context.Context, target Server) (*snapshot, error) {
	session, err := openPinned(ctx, target)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{ledgerPositions, "begin isolation level repeatable read"} {
		if _, err := session.Script(ctx, sql); err != nil {
			session.Close()
			return nil, fmt.Errorf("prepare the target's snapshot: %w", err)
		}
	}
	return &snapshot{session: session}, nil
}

// take takes it: one round trip.
func (s *snapshot) take(ctx context.Context) error {
	start := time.Now()
	rows, err := s.session.Script(ctx, ledgerPositions)
	if err != nil {
		return fmt.Errorf("take the target's snapshot: %w", err)
	}
	s.ledger, err = positions(rows)
	s.took = time.Since(start)
	return err
}

func (s *snapshot) close() { s.session.Close() }

package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"pgleap/internal/pgver"
)

// OpenClient connects as an application does: on neither side of the upgrade, and with no setting but those
// of the options. Settings of the role and the database count for it, and so does what a fence or a read-only
// database does to an application.
func OpenClient(ctx context.Context, a Address, o Options) (*Session, error) {
	if a.IsZero() {
		return nil, fmt.Errorf("client: %w", ErrNoAddress)
	}
	c := a.config.Copy()
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dial
	c.RuntimeParams["application_name"] = o.Verb
	for k, v := range o.Settings {
		c.RuntimeParams[k] = v
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	// What the context ends must be a known failure: cutting the connection would leave a commit's outcome open.
	c.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: 5 * time.Second}
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, &ConnectError{Side: "server", Address: a.String(), User: a.User(), Err: err, text: a.Redact(reason(err))}
	}
	s := &Session{conn: conn, address: a, options: o, side: "client"}
	var num int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&num); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("client: read the server's version: %w", err)
	}
	s.version = pgver.Version(num)
	return s, nil
}

// Script sends several statements in one round trip, the simple way, and returns the rows of all of them as
// text; NULL is "". Without a begin among them they are one transaction.
func (s *Session) Script(ctx context.Context, sql string) ([][]string, error) {
	if s.options.ReadOnly {
		return nil, fmt.Errorf("%s: %w", s.side, ErrReadOnly)
	}
	var rows [][]string
	results := s.conn.PgConn().Exec(ctx, sql)
	for results.NextResult() {
		reader := results.ResultReader()
		for reader.NextRow() {
			row := make([]string, len(reader.Values()))
			for i, v := range reader.Values() {
				row[i] = string(v)
			}
			rows = append(rows, row)
		}
		if _, err := reader.Close(); err != nil {
			break
		}
	}
	return rows, normalise(ctx, results.Close())
}

// Package pg holds the sessions of pgleap: the only package that opens connections to PostgreSQL.
//
// Source and Target are different types, and so is the source's replication session: mixing them up does not
// compile. A session is one connection, never a pool: settings, locks, snapshots and advisory locks belong
// to it. Every statement that changes a server goes through Exec.
package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"pgleap/internal/pgver"
)

// LSN is a position in a server's WAL.
type LSN = pglogrepl.LSN

// SourceLSN is a position in the source's WAL: comparing it with a position of the target makes no sense.
type SourceLSN struct{ LSN }

// ErrReadOnly is returned by Exec on a read-only session, before anything is sent.
var ErrReadOnly = errors.New("this session only reads")

// Options of a session.
type Options struct {
	Verb     string            // shown as application_name pgleap/<verb>
	As       string            // the side in messages; "" is what the session is opened as: a rollback leaves the target
	ReadOnly bool              // Exec refuses, and the server is told default_transaction_read_only=on
	Settings map[string]string // over the defaults
	Log      *slog.Logger      // gets every statement that changes a server, and the server's notices; may be nil
}

// Querier reads.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Session is one connection. Use Source or Target where the side matters.
type Session struct {
	conn    *pgx.Conn
	address Address
	options Options
	side    string
	version pgver.Version
}

// Source is a session on the server that is left, Target one on the server that takes over.
type (
	Source struct{ *Session }
	Target struct{ *Session }
)

// OpenSource connects to the source.
func OpenSource(ctx context.Context, a Address, o Options) (*Source, error) {
	s, err := open(ctx, a, o, "source")
	if err != nil {
		return nil, err
	}
	return &Source{s}, nil
}

// OpenTarget connects to the target.
func OpenTarget(ctx context.Context, a Address, o Options) (*Target, error) {
	s, err := open(ctx, a, o, "target")
	if err != nil {
		return nil, err
	}
	return &Target{s}, nil
}

// sessionSettings are what every session of ours needs: a timeout of the role or the database must not end
// it, names are never found through a search_path, and a database that was set read-only must still take our
// own repairs (a startup parameter beats ALTER DATABASE … SET).
func sessionSettings(o Options) map[string]string {
	m := map[string]string{
		"application_name":                    "pgleap/" + o.Verb,
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
		"search_path":                         "pg_catalog",
		"standard_conforming_strings":         "on",
		"default_transaction_read_only":       "off",
		// A client that is gone without a word is noticed in a minute: its locks, the run lock too, must not stay.
		"tcp_keepalives_idle":     "30",
		"tcp_keepalives_interval": "10",
		"tcp_keepalives_count":    "3",
		"client_encoding":         "UTF8",
		"datestyle":               "ISO, MDY",
		"intervalstyle":           "postgres",
		"extra_float_digits":      "3",
	}
	if o.ReadOnly {
		m["default_transaction_read_only"] = "on"
	}
	for k, v := range o.Settings {
		m[k] = v
	}
	return m
}

const (
	connectTimeout = 10 * time.Second
	closeTimeout   = 5 * time.Second
)

func open(ctx context.Context, a Address, o Options, side string) (*Session, error) {
	if o.As != "" {
		side = o.As
	}
	if a.IsZero() {
		return nil, fmt.Errorf("%s: %w", side, ErrNoAddress)
	}
	c := a.config.Copy()
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dial
	for k, v := range sessionSettings(o) {
		c.RuntimeParams[k] = v
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	// A cancelled context must not cost the connection: the fence's session holds locks that only it can give back.
	c.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: 5 * time.Second}
	}
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if o.Log != nil {
			o.Log.Debug("notice", "side", side, "severity", n.Severity, "message", a.Redact(n.Message))
		}
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, &ConnectError{Side: side, Address: a.String(), User: a.User(), Err: err, text: a.Redact(reason(err))}
	}
	s := &Session{conn: conn, address: a, options: o, side: side}
	var num int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&num); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("%s: read the server's version: %w", side, err)
	}
	s.version = pgver.Version(num)
	if err := s.switchOffTimeouts(ctx); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("%s: %w", side, err)
	}
	return s, nil
}

// switchOffTimeouts does it for those that older servers would refuse in the startup packet.
func (s *Session) switchOffTimeouts(ctx context.Context) error {
	for _, t := range []struct {
		name string
		from pgver.Feature
	}{{"idle_session_timeout", pgver.IdleSessionTimeout}, {"transaction_timeout", pgver.TransactionTimeout}} {
		if !s.version.Has(t.from) {
			continue
		}
		if _, err := s.conn.Exec(ctx, "set "+t.name+" = 0"); err != nil {
			return fmt.Errorf("switch off %s: %w", t.name, err)
		}
	}
	return nil
}

// Version returns the server's version.
func (s *Session) Version() pgver.Version { return s.version }

// Side returns what messages call the server of the session.
func (s *Session) Side() string { return s.side }

// Address returns where the session is connected.
func (s *Session) Address() Address { return s.address }

// PID returns the server process of the session.
func (s *Session) PID() uint32 { return s.conn.PgConn().PID() }

// Close ends the session; locks and advisory locks go with it.
func (s *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// Alive tells whether the connection still stands.
func (s *Session) Alive() bool { return !s.conn.IsClosed() }

// Query reads.
func (s *Session) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	r, err := s.conn.Query(ctx, sql, args...)
	return rows{r, ctx}, normalise(ctx, err)
}

// rows and row tell of an interrupt as the context's own error, not as the server's "canceling statement".
type rows struct {
	pgx.Rows
	ctx context.Context //nolint:containedctx // of the query that they are the answer to
}

func (r rows) Err() error { return normalise(r.ctx, r.Rows.Err()) }

type row struct {
	pgx.Row
	ctx context.Context //nolint:containedctx // as in rows
}

func (r row) Scan(dest ...any) error { return normalise(r.ctx, r.Row.Scan(dest...)) }

// QueryRow reads one row.
func (s *Session) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return row{s.conn.QueryRow(ctx, sql, args...), ctx}
}

// Exec sends statements that change the server. Without arguments several may stand in one string: they are
// one transaction, unless they hold their own begin and commit. It returns the rows of the last one.
func (s *Session) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if s.options.ReadOnly {
		return 0, fmt.Errorf("%s: %w", s.side, ErrReadOnly)
	}
	if s.options.Log != nil {
		s.options.Log.Debug("exec", "side", s.side, "sql", sql)
	}
	tag, err := s.conn.Exec(ctx, sql, args...)
	return tag.RowsAffected(), normalise(ctx, err)
}

// ExecDurably is Exec for a statement by itself that is on the server's disk when it returns, whatever the server's
// settings say. It does not wait for standbys: one that does not answer may be why we are here.
func (s *Session) ExecDurably(ctx context.Context, sql string) error {
	if _, err := s.Exec(ctx, "set synchronous_commit = local"); err != nil {
		return err
	}
	_, err := s.Exec(ctx, sql)
	return err
}

// ExecSecret is Exec for a statement that holds a password: template is what the log gets.
func (s *Session) ExecSecret(ctx context.Context, template string, sql Secret) error {
	if s.options.ReadOnly {
		return fmt.Errorf("%s: %w", s.side, ErrReadOnly)
	}
	if s.options.Log != nil {
		s.options.Log.Debug("exec", "side", s.side, "sql", template)
	}
	_, err := s.conn.Exec(ctx, sql.Reveal())
	return normalise(ctx, err)
}

// ExecEach sends several statements in one round trip and says how many of them were carried out: the
// statement with that index is the one that failed. They are one transaction, or part of the open one.
func (s *Session) ExecEach(ctx context.Context, statements []string) (int, error) {
	if s.options.ReadOnly {
		return 0, fmt.Errorf("%s: %w", s.side, ErrReadOnly)
	}
	if len(statements) == 0 {
		return 0, nil
	}
	size := 0
	for _, st := range statements {
		size += len(st) + 2
	}
	sql := make([]byte, 0, size)
	for _, st := range statements {
		sql = append(append(sql, st...), ";\n"...)
	}
	if s.options.Log != nil {
		s.options.Log.Debug("exec", "side", s.side, "statements", len(statements), "first", statements[0])
	}
	results := s.conn.PgConn().Exec(ctx, string(sql))
	n := 0
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err != nil {
			break
		}
		n++
	}
	return n, normalise(ctx, results.Close())
}

// InTransaction runs f between begin and commit. On an error it rolls back on a context of its own: a
// cancelled one must not leave locks behind.
func (s *Session) InTransaction(ctx context.Context, f func() error) error {
	if _, err := s.Exec(ctx, "begin"); err != nil {
		return err
	}
	if err := f(); err != nil {
		_ = s.Rollback() // the cause is what counts; nobody's work waits for these locks
		return err
	}
	if _, err := s.Exec(ctx, "commit"); err != nil {
		_ = s.Rollback()
		return err
	}
	return nil
}

// Rollback ends the open transaction whatever happened to the caller's context. An error means that the server
// did not acknowledge it: the connection is closed then, which a server that cannot be reached does not notice.
func (s *Session) Rollback() error {
	if s.conn.IsClosed() {
		return errors.New("the connection is lost")
	}
	if s.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if _, err := s.conn.Exec(ctx, "rollback"); err != nil {
		_ = s.conn.PgConn().Conn().Close()
		_ = s.conn.Close(ctx)
		return err
	}
	return nil
}

package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// SourceReplication is a walsender session on the source: it speaks the replication grammar and the simple
// protocol only.
type SourceReplication struct {
	conn    *pgconn.PgConn
	address Address
}

// OpenSourceReplication connects with replication=database.
func OpenSourceReplication(ctx context.Context, a Address, verb string) (*SourceReplication, error) {
	if a.IsZero() {
		return nil, fmt.Errorf("source: %w", ErrNoAddress)
	}
	c := a.config.Copy().Config
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dial
	c.RuntimeParams["replication"] = "database"
	c.RuntimeParams["application_name"] = "pgleap/" + verb
	c.RuntimeParams["statement_timeout"] = "0"
	c.RuntimeParams["lock_timeout"] = "0" // the creation of a slot waits for transactions, as for locks
	c.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	// A cancelled wait must be ended on the server: a walsender that waits for transactions does not notice
	// that its client is gone, and would leave a slot behind that nobody knows.
	c.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: 5 * time.Second}
	}
	conn, err := pgconn.ConnectConfig(ctx, &c)
	if err != nil {
		return nil, &ConnectError{Side: "source (replication)", Address: a.String(), User: a.User(), Err: err, text: a.Redact(reason(err))}
	}
	return &SourceReplication{conn: conn, address: a}, nil
}

// PID returns the server process of the session.
func (r *SourceReplication) PID() uint32 { return r.conn.PID() }

// Close ends the session.
func (r *SourceReplication) Close() { _ = r.conn.Close(context.Background()) }

// CreateSlotStatement is the statement that CreateSlot sends. The old grammar is accepted by 10 to 18.
func CreateSlotStatement(name string) string {
	return fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput NOEXPORT_SNAPSHOT", name)
}

// CreateExportingSlotStatement is the same for a slot whose creation exports the snapshot of its consistent point.
func CreateExportingSlotStatement(name string) string {
	return fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput EXPORT_SNAPSHOT", name)
}

// CreateSlot sends statement, made by CreateSlotStatement or CreateExportingSlotStatement, and returns the slot's
// consistent point and the name of the snapshot that it exports, which dies with the session or its next command. It
// waits for every open write transaction of the cluster; when ctx ends the server takes the slot back.
func (r *SourceReplication) CreateSlot(ctx context.Context, statement string) (at SourceLSN, snapshot string, err error) {
	res, err := pglogrepl.ParseCreateReplicationSlot(r.conn.Exec(ctx, statement))
	if err != nil {
		return SourceLSN{}, "", normalise(ctx, err)
	}
	lsn, err := pglogrepl.ParseLSN(res.ConsistentPoint)
	return SourceLSN{lsn}, res.SnapshotName, err
}

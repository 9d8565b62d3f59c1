package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Console is a session on a pooler's admin console: it speaks the simple protocol only, and knows no SQL.
type Console struct {
	conn    *pgconn.PgConn
	address Address
}

// OpenConsole connects to the admin console of a PgBouncer. No startup parameter is sent but the application's
// name: PgBouncer refuses those it does not know.
func OpenConsole(ctx context.Context, a Address, o Options) (*Console, error) {
	if a.IsZero() {
		return nil, fmt.Errorf("pooler: %w", ErrNoAddress)
	}
	c := a.config.Config.Copy()
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dial
	c.RuntimeParams = map[string]string{"application_name": "pgleap/" + o.Verb}
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, &ConnectError{Side: "pooler", Address: a.String(), User: a.User(), Err: err, text: a.Redact(reason(err))}
	}
	return &Console{conn: conn, address: a}, nil
}

// Show sends one command and returns its rows, each by the names of its columns: which columns there are, and in
// which order, differs by the pooler's version. NULL is "". A context that ends closes the connection: the console
// knows no cancel request that takes back only the command.
func (c *Console) Show(ctx context.Context, command string) ([]map[string]string, error) {
	var rows []map[string]string
	results := c.conn.Exec(ctx, command)
	for results.NextResult() {
		reader := results.ResultReader()
		fields := reader.FieldDescriptions()
		for reader.NextRow() {
			row := make(map[string]string, len(fields))
			for i, v := range reader.Values() {
				row[fields[i].Name] = string(v)
			}
			rows = append(rows, row)
		}
		if _, err := reader.Close(); err != nil {
			break
		}
	}
	return rows, normalise(ctx, results.Close())
}

// Do sends one command that has no rows.
func (c *Console) Do(ctx context.Context, command string) error {
	_, err := c.Show(ctx, command)
	return err
}

// Address returns where the console is.
func (c *Console) Address() Address { return c.address }

// Alive tells whether the connection still stands, as far as is known.
func (c *Console) Alive() bool { return !c.conn.IsClosed() }

// Close ends the session.
func (c *Console) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.conn.Close(ctx)
}

package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
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

// Answer is what a console says to one command: rows by the names of their columns, since which columns there are,
// and in which order, differs by the pooler's version. NULL is "".
type Answer struct {
	Rows []map[string]string
	Err  error // the console's refusal, with its SQLSTATE
}

// Send sends commands in one packet, so that the pooler does nothing for a client between them, and returns an
// answer to each. A refused command does not keep the next ones from being carried out. The error is one of the
// connection. A context that ends closes the connection: the console knows no cancel request for one command.
func (c *Console) Send(ctx context.Context, commands ...string) ([]Answer, error) {
	if err := ctx.Err(); err != nil { // what is not sent is not done
		return nil, err
	}
	frontend := c.conn.Frontend()
	for _, command := range commands {
		frontend.Send(&pgproto3.Query{String: command})
	}
	if err := frontend.Flush(); err != nil {
		return nil, fmt.Errorf("send to the pooler: %w", err)
	}
	answers := make([]Answer, len(commands))
	for i := range answers {
		if err := c.receive(ctx, &answers[i]); err != nil {
			return nil, normalise(ctx, err)
		}
	}
	return answers, nil
}

// receive reads up to the end of one answer.
func (c *Console) receive(ctx context.Context, a *Answer) error {
	var columns []string
	for {
		message, err := c.conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.RowDescription:
			columns = columns[:0]
			for _, f := range m.Fields {
				columns = append(columns, string(f.Name))
			}
		case *pgproto3.DataRow:
			row := make(map[string]string, len(columns))
			for i, v := range m.Values {
				row[columns[i]] = string(v)
			}
			a.Rows = append(a.Rows, row)
		case *pgproto3.ErrorResponse:
			a.Err = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
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

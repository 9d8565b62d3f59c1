package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError says which side cannot be reached, and why, without the password.
type ConnectError struct {
	Side, Address, User string
	Err                 error
	text                string
}

// Error names the side, the address, the server's own words and the way to mend it.
func (e *ConnectError) Error() string {
	text := fmt.Sprintf("cannot connect to the %s %s as %s: %s", e.Side, e.Address, e.User, e.text)
	if fix := connectFix(e.Err); fix != "" {
		text += "\nfix: " + fix
	}
	return text
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// reason returns the server's message where there is one, else the last error of the chain: pgconn's own
// text repeats the user and the address, and its attempts with and without TLS repeat each other.
func reason(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return fmt.Sprintf("%s (%s)", pe.Message, pe.Code)
	}
	for {
		next := errors.Unwrap(err)
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			list := joined.Unwrap()
			next = list[len(list)-1]
		}
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// connectFixes say what to do about a server that answers and refuses.
var connectFixes = map[string]string{
	"28P01": "the password comes from the address, from PGPASSFILE (~/.pgpass) or from PGPASSWORD: see that it is this role's on this server",
	"28000": "see that the role exists and may log in, and that the server's pg_hba.conf lets this host, database and role in",
	"3D000": "see that the address names the right database; on the target an empty one is made with: create database …",
	"42501": "let the role connect: grant connect on database … to …",
	"53300": "end sessions that are idle, or raise max_connections",
	"57P03": "the server starts up, shuts down or recovers: wait for it, then run the same command again",
}

// connectFix returns what to do about a connection that fails, or "".
func connectFix(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case Code(err) != "":
		return connectFixes[Code(err)]
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: see that the server runs, that host and port are right, and that its listen_addresses holds the address"
	case errors.As(err, &dns):
		return "the host's name is not known on this machine: see that it is right"
	case errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer: see that host and port are right and that no firewall drops the packets"
	}
	return ""
}

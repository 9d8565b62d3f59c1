package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// normalise makes one error of the two a cancelled context can give: with a cancel request the server
// answers 57014 and errors.Is(err, context.Canceled) would be false.
func normalise(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// Code returns the SQLSTATE of err, or "".
func Code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// Message returns the server's message, detail and hint, or err's own text.
func Message(err error) string {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err.Error()
	}
	text := pe.Message
	if pe.Detail != "" {
		text += " (" + pe.Detail + ")"
	}
	if pe.Hint != "" {
		text += " hint: " + pe.Hint
	}
	return text
}

// Position returns the 1-based character of the statement that the server complained about, or 0.
func Position(err error) int {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return int(pe.Position)
	}
	return 0
}

// SQLSTATEs that decide something.
const (
	CodeDeadlock    = "40P01"
	CodeLockTimeout = "55P03"
	CodeReadOnly    = "25006"
	CodeUndefined   = "42704"
	CodePrivilege   = "42501"
	CodeObjectInUse = "55006"
	CodeUnsupported = "0A000"
)

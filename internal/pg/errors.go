package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// Redacted returns an error with the server's message as redact leaves it, and the SQLSTATE, but nothing of the
// statement: for one that held a secret.
func Redacted(err error, redact func(string) string) error {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			return cause
		}
	}
	text := redact(Message(err))
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return errors.New(text)
	}
	return &secretError{text: text, code: &pgconn.PgError{Severity: pe.Severity, Code: pe.Code, Message: text}}
}

// secretError shows no more than its text.
type secretError struct {
	text string
	code *pgconn.PgError
}

func (e *secretError) Error() string { return e.text }
func (e *secretError) Unwrap() error { return e.code }

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
	CodeExists      = "42710"
	CodeUnique      = "23505"
	CodeForeignKey  = "23503"
	CodeInternal    = "XX000" // also: a row of a catalog that two sessions change at the same time
	CodeDependent   = "2BP01"
	CodeInvalid     = "22023"
	CodeLockTimeout = "55P03"
	CodeReadOnly    = "25006"
	CodeUndefined   = "42704"
	CodePrivilege   = "42501"
	CodeObjectInUse = "55006"
	CodeUnsupported = "0A000"
)

// ConnectionLost tells whether a server's answer means that it has ended the session, and a new one may do.
func ConnectionLost(err error) bool {
	code := Code(err)
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P0")
}

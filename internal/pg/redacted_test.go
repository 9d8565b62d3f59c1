package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestRedacted: what is left of a server's error is its redacted message and its SQLSTATE. Its context would
// repeat the statement.
func TestRedacted(t *testing.T) {
	hide := func(s string) string { return strings.ReplaceAll(s, "geheim", "…") }
	err := Redacted(fmt.Errorf("send: %w", &pgconn.PgError{Code: CodeExists, Message: "role geheim exists", Where: "geheim", InternalQuery: "geheim", Detail: "geheim"}), hide)
	if Code(err) != CodeExists || err.Error() != "role … exists (…)" || Message(err) != "role … exists (…)" {
		t.Errorf("%q, code %s, message %q", err, Code(err), Message(err))
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)); strings.Contains(text, "geheim") {
		t.Error(text)
	}
	if err := Redacted(errors.New("geheim is lost"), hide); err.Error() != "… is lost" {
		t.Error(err)
	}
	if err := Redacted(fmt.Errorf("%w: geheim", context.Canceled), hide); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "geheim") {
		t.Error(err)
	}
}

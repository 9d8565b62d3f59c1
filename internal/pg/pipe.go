package pg

import (
	"context"
	"errors"
	"io"
)

// Pipe sends what COPY … TO STDOUT gives on the source into COPY … FROM STDIN on the target, and returns the
// number of rows. Nothing of it is kept here. Neither statement may hold a password.
func Pipe(ctx context.Context, s *Source, out string, t *Target, in string) (int64, error) {
	if t.options.ReadOnly {
		return 0, ErrReadOnly
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		_, err := s.conn.PgConn().CopyTo(ctx, w, out)
		_ = w.CloseWithError(err) // an error makes the target's COPY fail, too
		read <- err
	}()
	tag, err := t.conn.PgConn().CopyFrom(ctx, r, in)
	if err != nil {
		cancel() // the source need not go on
	}
	_ = r.CloseWithError(io.ErrClosedPipe)
	if readErr := <-read; readErr != nil && (err == nil || !errors.Is(readErr, io.ErrClosedPipe) && !errors.Is(readErr, context.Canceled)) {
		return 0, normalise(ctx, readErr)
	}
	return tag.RowsAffected(), normalise(ctx, err)
}

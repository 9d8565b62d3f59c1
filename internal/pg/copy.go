package pg

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// CopyTo sends a COPY … TO STDOUT and writes what comes to w, as the server writes it. It only reads, unless the
// query within it does not. An error of w closes the connection: the rest is not waited for.
func (s *Session) CopyTo(ctx context.Context, w io.Writer, sql string) (int64, error) {
	tag, err := s.conn.PgConn().CopyTo(ctx, w, sql)
	return tag.RowsAffected(), normalise(ctx, err)
}

// CopyFrom sends a COPY … FROM STDIN and then what it reads from r, up to its end. An error of r ends the COPY on
// the server with nothing copied.
func (s *Session) CopyFrom(ctx context.Context, r io.Reader, sql string) (int64, error) {
	if s.options.ReadOnly {
		return 0, fmt.Errorf("%s: %w", s.side, ErrReadOnly)
	}
	if s.options.Log != nil {
		s.options.Log.Debug("exec", "side", s.side, "sql", sql)
	}
	tag, err := s.conn.PgConn().CopyFrom(ctx, r, sql)
	return tag.RowsAffected(), normalise(ctx, err)
}

// Pipe copies what one statement on the source gives into the other on the target, and returns the rows and bytes. An
// error of either side ends both.
func Pipe(ctx context.Context, from *Source, to *Target, read, write string) (rows, bytes int64, err error) {
	return PipeMetered(ctx, from, to, read, write, nil)
}

// PipeMetered is Pipe that tells metered, where it is set, of each chunk of n bytes before it goes on; it may make it
// wait.
func PipeMetered(ctx context.Context, from *Source, to *Target, read, write string, metered func(ctx context.Context, n int) error) (rows, bytes int64, err error) {
	r, w := io.Pipe()
	given := make(chan error, 1)
	counted := &counter{w: w}
	if metered != nil {
		counted.metered = func(n int) error { return metered(ctx, n) }
	}
	go func() {
		buffered := bufio.NewWriterSize(counted, pipeBuffer) // each row comes by itself
		_, err := from.CopyTo(ctx, buffered, read)
		if err == nil {
			err = buffered.Flush()
		}
		_ = w.CloseWithError(err) // nil ends the text
		given <- err
	}()
	rows, err = to.CopyFrom(ctx, r, write)
	_ = r.CloseWithError(errStopped) // the source must not write on into a pipe that nobody reads
	readErr := <-given
	switch {
	case err != nil && Code(err) != "" && Code(err) != codeCopyFailed:
		return 0, 0, fmt.Errorf("target: %w", err)
	case readErr != nil:
		return 0, 0, fmt.Errorf("source: %w", readErr)
	case err != nil:
		return 0, 0, fmt.Errorf("target: %w", err)
	}
	return rows, counted.n, nil
}

// pipeBuffer is what goes from one side to the other at a time: to hand over every row costs more than to copy it.
const pipeBuffer = 64 << 10

// codeCopyFailed is what the server says when we end a COPY because its text cannot be had.
const codeCopyFailed = "57014"

var errStopped = fmt.Errorf("the other side of the copy has ended: %w", io.ErrClosedPipe)

// counter counts what is written through it.
type counter struct {
	w       io.Writer
	n       int64
	metered func(n int) error
}

func (c *counter) Write(p []byte) (int, error) {
	if c.metered != nil {
		if err := c.metered(len(p)); err != nil {
			return 0, err
		}
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

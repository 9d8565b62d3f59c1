package pg

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Pipe copies what one statement on the source gives into the other on the target, and returns the rows and bytes. An
// error of either side ends both. metered, which may be nil, is told how many bytes are about to go; it may hold them up.
//
// The bytes go from one connection to the other as they came: CopyData has the same form in both directions. So a row is
// never held whole (a driver that reads message by message needs the memory of the longest row, 1 GB at worst), and short
// rows cost no call each.
func Pipe(ctx context.Context, from *Source, to *Target, read, write string, metered func(ctx context.Context, n int) error) (rows, bytes int64, err error) {
	if to.options.ReadOnly {
		return 0, 0, fmt.Errorf("%s: %w", to.side, ErrReadOnly)
	}
	for _, s := range []*Session{from.Session, to.Session} {
		if err := s.conn.PgConn().SyncConn(ctx); err != nil {
			return 0, 0, normalise(ctx, err)
		}
	}
	if to.options.Log != nil {
		to.options.Log.Debug("exec", "side", to.side, "sql", write)
	}
	p := &pipe{from: newWire(from.Session, pipeBuffer), to: newWire(to.Session, answerBuffer), metered: metered}
	stop := p.watch(ctx)
	rows, bytes, err = p.run(ctx, read, write)
	stop()
	p.from.end()
	p.to.end()
	if err != nil {
		return 0, 0, err
	}
	return rows, bytes, nil
}

const (
	pipeBuffer   = 256 << 10 // what is read from the source at a time, at most
	answerBuffer = 8 << 10
	// politeEnd is how long a cancelled copy may take to end before its connections are closed.
	politeEnd = 5 * time.Second
)

// pipe is one copy under way.
type pipe struct {
	from, to *wire
	metered  func(ctx context.Context, n int) error
}

// watch ends both sides when ctx does.
func (p *pipe) watch(ctx context.Context) (stop func()) {
	ended := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(ended)
		for _, w := range []*wire{p.from, p.to} {
			_ = w.net.SetDeadline(time.Now().Add(politeEnd))
			w.cancel()
		}
	})
	return func() {
		if !unhook() {
			<-ended
		}
	}
}

// run speaks the protocol of both sides.
func (p *pipe) run(ctx context.Context, read, write string) (rows, bytes int64, err error) {
	if err := p.to.begin(write, 'G'); err != nil {
		return 0, 0, p.failed(ctx, nil, err)
	}
	if err := p.from.begin(read, 'H'); err != nil {
		return 0, 0, p.failed(ctx, err, p.to.give())
	}
	answered := make(chan answer, 1)
	go func() {
		a := p.to.answer()
		if a.err != nil {
			p.from.cancel() // its rows are wanted no more
		}
		answered <- a
	}()
	bytes, err = p.forward(ctx)
	var given int64
	if err == nil {
		given, err = p.from.over()
	}
	if err == nil {
		err = p.to.send(&pgproto3.CopyDone{})
		a := <-answered
		err = p.failed(ctx, nil, cmp.Or(a.err, err))
		if err == nil && a.rows != given {
			err = fmt.Errorf("the source gave %d rows, and the target has taken %d", given, a.rows)
		}
		return a.rows, bytes, err
	}
	if Code(err) == "" && !p.from.broken { // it is not the source that ended it
		p.from.cancel()
	}
	_ = p.to.giveUp()
	a := <-answered
	p.from.drain()
	if Code(a.err) == codeCopyFailed {
		a.err = nil
	}
	return 0, 0, p.failed(ctx, err, a.err)
}

// forward sends the source's rows on, up to their end. Between two pieces of them a notice may stand.
func (p *pipe) forward(ctx context.Context) (bytes int64, err error) {
	left := 0 // of the message that is under way
	for {
		run := 0 // bytes of whole and begun CopyData in what has been read
		for run < len(p.from.have) {
			if left == 0 {
				head := p.from.have[run:]
				if head[0] != 'd' || len(head) < 5 {
					break
				}
				left = 1 + int(binary.BigEndian.Uint32(head[1:]))
				bytes -= 5
			}
			n := min(left, len(p.from.have)-run)
			run, left = run+n, left-n
		}
		if run > 0 {
			if p.metered != nil {
				if err := p.metered(ctx, run); err != nil {
					return 0, err
				}
			}
			if err := p.to.write(p.from.have[:run]); err != nil {
				return 0, &sideError{"target", err}
			}
			bytes += int64(run)
			p.from.have = p.from.have[run:]
		}
		if left == 0 && len(p.from.have) > 0 && p.from.have[0] != 'd' {
			if !aside(p.from.have[0]) {
				return bytes, nil
			}
			if _, _, err := p.from.whole(); err != nil {
				return 0, err
			}
			continue
		}
		if err := p.from.more(); err != nil {
			return 0, err
		}
	}
}

// failed is the error of the copy: of the target where it has refused something, else of the source.
func (p *pipe) failed(ctx context.Context, source, target error) error {
	var side *sideError
	switch {
	case source == nil && target == nil:
		return nil
	case ctx.Err() != nil:
		return normalise(ctx, errors.Join(source, target))
	case target != nil && Code(target) != "":
		return fmt.Errorf("target: %w", target)
	case target != nil && Code(source) == codeCopyFailed: // ours: the target was lost, and the source was told to end
		return fmt.Errorf("target: %w", target)
	case source != nil && errors.As(source, &side):
		return fmt.Errorf("%s: %w", side.side, side.err)
	case source != nil:
		return fmt.Errorf("source: %w", source)
	}
	return fmt.Errorf("target: %w", target)
}

// sideError is an error of the other side than the one that was asked.
type sideError struct {
	side string
	err  error
}

func (e *sideError) Error() string { return e.err.Error() }
func (e *sideError) Unwrap() error { return e.err }

// codeCopyFailed is what the server says when we end a COPY because its text cannot be had.
const codeCopyFailed = "57014"

// wire is the protocol of one side, read without the driver while a copy goes on.
type wire struct {
	session *Session
	net     net.Conn
	buffer  []byte
	have    []byte // of buffer: read, and not used yet
	ready   bool   // the server waits for the next query
	broken  bool   // what comes next on the connection is not known
}

func newWire(s *Session, size int) *wire {
	return &wire{session: s, net: s.conn.PgConn().Conn(), buffer: make([]byte, size), ready: true}
}

// end gives the connection back to the driver, or closes it where nobody knows what comes next.
func (w *wire) end() {
	_ = w.net.SetDeadline(time.Time{})
	if w.ready && !w.broken && len(w.have) == 0 {
		return
	}
	_ = w.net.Close()
	w.session.Close()
}

// cancel asks the server to end what it does.
func (w *wire) cancel() {
	ctx, stop := context.WithTimeout(context.Background(), politeEnd)
	defer stop()
	_ = w.session.conn.PgConn().CancelRequest(ctx)
}

// more reads what is there, behind what is not used yet.
func (w *wire) more() error {
	if len(w.have) == len(w.buffer) { // one message of the server's own that is longer
		w.buffer = append(w.buffer, make([]byte, len(w.buffer))...)
	}
	w.have = w.buffer[:copy(w.buffer, w.have)]
	n, err := w.net.Read(w.buffer[len(w.have):])
	w.have = w.buffer[:len(w.have)+n]
	if n > 0 {
		return nil
	}
	w.broken = true
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// write does not know whether the connection is lost: who reads does.
func (w *wire) write(b []byte) error {
	_, err := w.net.Write(b)
	return err
}

func (w *wire) send(m pgproto3.FrontendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	return w.write(b)
}

// longest is the longest message of the server's own that is believed, such as an error.
const longest = 16 << 20

// aside tells what the server may send between any two messages, and tells nothing here: notice, parameter, notification.
func aside(kind byte) bool { return kind == 'N' || kind == 'S' || kind == 'A' }

// whole reads the next message; its body is good until the next read.
func (w *wire) whole() (kind byte, body []byte, err error) {
	for len(w.have) < 5 {
		if err := w.more(); err != nil {
			return 0, nil, err
		}
	}
	size := 1 + int(binary.BigEndian.Uint32(w.have[1:]))
	if size < 5 || size > longest {
		w.broken = true
		return 0, nil, fmt.Errorf("a message of %d bytes, which is not of the protocol", size)
	}
	for len(w.have) < size {
		if err := w.more(); err != nil {
			return 0, nil, err
		}
	}
	kind, body = w.have[0], w.have[5:size]
	w.have = w.have[size:]
	return kind, body, nil
}

// message reads the next message that is not aside, as whole does.
func (w *wire) message() (kind byte, body []byte, err error) {
	for {
		if kind, body, err = w.whole(); err != nil {
			return 0, nil, err
		}
		switch {
		case aside(kind):
			continue
		case kind == 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(body); err != nil {
				w.broken = true
				return 0, nil, err
			}
			return kind, nil, pgconn.ErrorResponseToPgError(&e)
		case kind == 'Z':
			w.ready = true
		}
		return kind, body, nil
	}
}

// begin sends the statement and waits for the server's word that the copy goes on.
func (w *wire) begin(sql string, want byte) error {
	w.ready = false
	if err := w.send(&pgproto3.Query{String: sql}); err != nil {
		w.broken = true
		return err
	}
	kind, _, err := w.message()
	if err == nil && kind != want {
		w.broken = true
		err = fmt.Errorf("not a COPY: the server answered with %q", kind)
	}
	if err != nil {
		w.drain()
	}
	return err
}

// drain reads up to the server's readiness, behind an error of its own or of ours.
func (w *wire) drain() {
	for !w.ready && !w.broken {
		if len(w.have) > 0 && w.have[0] == 'd' || len(w.have) == 0 {
			if !w.skipData() {
				return
			}
			continue
		}
		_, _, _ = w.message()
	}
}

// skipData passes over rows that nobody wants any more.
func (w *wire) skipData() bool {
	for len(w.have) < 5 {
		if w.more() != nil {
			return false
		}
	}
	if w.have[0] != 'd' {
		return true
	}
	left := 1 + int(binary.BigEndian.Uint32(w.have[1:]))
	for left > len(w.have) {
		left -= len(w.have)
		w.have = nil
		if w.more() != nil {
			return false
		}
	}
	w.have = w.have[left:]
	return true
}

// over reads the end of the source's copy, and returns how many rows it was.
func (w *wire) over() (rows int64, err error) {
	for !w.ready {
		kind, body, err := w.message()
		switch {
		case err != nil:
			return 0, err
		case kind == 'd':
			w.broken = true
			return 0, errors.New("rows behind the end of the copy")
		case kind == 'C':
			rows = affected(body)
		}
	}
	return rows, nil
}

// affected is how many rows the body of CommandComplete tells of.
func affected(body []byte) int64 {
	return pgconn.NewCommandTag(string(body[:max(len(body)-1, 0)])).RowsAffected()
}

// answer is what the target says in the end.
type answer struct {
	rows int64
	err  error
}

func (w *wire) answer() (a answer) {
	for !w.ready {
		kind, body, err := w.message()
		switch {
		case err != nil && Code(err) == "":
			w.broken = true
			return answer{err: cmp.Or(a.err, err)}
		case err != nil:
			a.err = err
		case kind == 'C':
			a.rows = affected(body)
		}
	}
	return a
}

// giveUp ends the target's copy with nothing copied.
func (w *wire) giveUp() error {
	return w.send(&pgproto3.CopyFail{Message: "the other side of the copy has ended"})
}

// give is giveUp where nobody reads the answers yet.
func (w *wire) give() error {
	if err := w.giveUp(); err != nil {
		w.broken = true
		return err
	}
	if a := w.answer(); a.err != nil && Code(a.err) != codeCopyFailed {
		return a.err
	}
	return nil
}

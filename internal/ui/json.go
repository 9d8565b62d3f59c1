package ui

import (
	"encoding/json"
	"io"
	"log/slog"
	"sync"

	"pgleap/plan"
)

// jsonPrinter writes one JSON document per line, each in one write, so that a reader sees an event when it
// happens.
type jsonPrinter struct {
	mu     sync.Mutex
	out    *json.Encoder
	flush  func() error
	stderr lockedWriter
}

func newJSONPrinter(o Options) *jsonPrinter {
	p := &jsonPrinter{out: json.NewEncoder(o.Stdout), flush: func() error { return nil }}
	p.out.SetEscapeHTML(false)
	if f, ok := o.Stdout.(interface{ Flush() error }); ok {
		p.flush = f.Flush
	}
	p.stderr = lockedWriter{&p.mu, o.Stderr}
	return p
}

// Event writes e. A value that JSON cannot say costs the event its numbers, not the line.
func (p *jsonPrinter) Event(e plan.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(e); err != nil {
		e.Seconds, e.Data = 0, map[string]any{"data_lost": err.Error()}
		_ = p.out.Encode(e) // where stdout is gone there is nobody left to tell
	}
	_ = p.flush()
}

func (p *jsonPrinter) LogHandler(level slog.Leveler) slog.Handler {
	return textHandler(p.stderr, level)
}

func (p *jsonPrinter) Close(bool) {}

// lockedWriter keeps the lines of the log and the events whole.
type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(b)
}

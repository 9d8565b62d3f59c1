package rehearsal

import (
	"sync"
	"time"
)

// endpoint is where clients write: what a pooler or a DNS name is to an application. It is turned once.
type endpoint struct {
	mu      sync.Mutex
	current Server
	flipped chan struct{} // closed when clients may go to the new server
	at      time.Time
}

func newEndpoint(first Server) *endpoint {
	return &endpoint{current: first, flipped: make(chan struct{})}
}

func (e *endpoint) server() Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current
}

// flip sends everybody to the given server. A second flip does nothing.
func (e *endpoint) flip(to Server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.at.IsZero() {
		return
	}
	e.current, e.at = to, time.Now()
	close(e.flipped)
}

// when returns the moment of the flip; the zero time if there was none.
func (e *endpoint) when() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at
}

package rehearsal

import (
	"sync"
)

// endpoint is where clients write that go round the pooler: what a DNS name is to an application. Every switch
// turns it, there or back.
type endpoint struct {
	mu      sync.Mutex
	current Server
	flips   int
	flipped chan struct{} // closed at the next flip
}

func newEndpoint(first Server) *endpoint {
	return &endpoint{current: first, flipped: make(chan struct{})}
}

// server returns where clients are to go, and how often that has changed.
func (e *endpoint) server() (now Server, flips int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current, e.flips
}

// next is closed when clients are to go elsewhere.
func (e *endpoint) next() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flipped
}

// flip sends everybody to the given server. A second flip to it does nothing.
func (e *endpoint) flip(to Server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current.Side == to.Side {
		return
	}
	e.current, e.flips = to, e.flips+1
	close(e.flipped)
	e.flipped = make(chan struct{})
}

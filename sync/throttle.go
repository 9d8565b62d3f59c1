package sync

import (
	"context"
	"sync"
	"time"
)

// Throttle keeps what flows through it under a rate, and stops it while it is paused. Its methods may be called side by
// side; those of a nil Throttle let everything through.
type Throttle struct {
	mu      sync.Mutex
	rate    float64 // bytes per second; 0: any
	free    time.Time
	resumed chan struct{} // closed when a pause ends; nil: there is none
}

// burst is for how long nobody may have taken anything and take it then at once.
const burst = 100 * time.Millisecond

// NewThrottle returns one of so many bytes per second; 0 is any number.
func NewThrottle(rate int64) *Throttle { return &Throttle{rate: float64(max(rate, 0))} }

// Take waits until n bytes may go on.
func (t *Throttle) Take(ctx context.Context, n int) error {
	if t == nil {
		return nil
	}
	if err := t.unpaused(ctx); err != nil {
		return err
	}
	wait := time.Until(t.reserve(n))
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reserve returns from when on n bytes may go: when those before them have had their time.
func (t *Throttle) reserve(n int) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rate == 0 {
		return time.Time{}
	}
	if earliest := time.Now().Add(-burst); t.free.Before(earliest) {
		t.free = earliest
	}
	t.free = t.free.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
	return t.free
}

func (t *Throttle) unpaused(ctx context.Context) error {
	for {
		t.mu.Lock()
		resumed := t.resumed
		t.mu.Unlock()
		if resumed == nil {
			return nil
		}
		select {
		case <-resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Pause stops what flows, or lets it go on.
func (t *Throttle) Pause(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case on && t.resumed == nil:
		t.resumed = make(chan struct{})
	case !on && t.resumed != nil:
		close(t.resumed)
		t.resumed = nil
	}
}

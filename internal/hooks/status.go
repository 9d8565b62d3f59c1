package hooks

import (
	"context"
	"sync"
)

// Status calls the hook on-status in the background: in order, one at a time, and never holding anybody up.
type Status struct {
	queue  chan Call
	ended  chan struct{}
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
}

// statusQueue is how many calls may wait for a slow command; what comes then is left out.
const statusQueue = 200

// Status starts the background. Its failures are told to failed, which is called from another goroutine.
func (s Set) Status(ctx context.Context, redact func(string) string, failed func(error)) *Status {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &Status{queue: make(chan Call, statusQueue), ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(b.ended)
		for call := range b.queue {
			if err := s.Run(ctx, OnStatus, call, redact); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}()
	return b
}

// Tell puts a call into the queue and returns at once.
func (b *Status) Tell(call Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	select {
	case b.queue <- call:
	default:
	}
}

// Close waits until what is in the queue was called, at most until ctx ends; then the command under way is killed.
func (b *Status) Close(ctx context.Context) {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.mu.Unlock()
	select {
	case <-b.ended:
	case <-ctx.Done():
		b.cancel()
		<-b.ended
	}
}

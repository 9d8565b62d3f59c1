package sync

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestThrottle: several that go through it have its rate together, and none goes through while it is paused.
func TestThrottle(t *testing.T) {
	const rate, each, n = 10 << 20, 64 << 10, 16
	th := NewThrottle(rate)
	began := time.Now()
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			for range n {
				if err := th.Take(t.Context(), each); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	least := time.Duration(float64(4*n*each)/rate*float64(time.Second)) - burst
	if took := time.Since(began); took < least {
		t.Errorf("%d bytes took %s, less than %s", 4*n*each, took, least)
	}
	th.Pause(true)
	th.Pause(true)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := th.Take(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("paused: %v", err)
	}
	through := make(chan error)
	go func() { through <- th.Take(t.Context(), 1) }()
	th.Pause(false)
	if err := <-through; err != nil {
		t.Errorf("resumed: %v", err)
	}
	var none *Throttle
	if err := none.Take(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	if err := NewThrottle(0).Take(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
}

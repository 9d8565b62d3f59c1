package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"pgleap/plan"
)

// exists tells whether the operator's file is there. One that cannot be looked for counts as there: it holds the
// switch back, which harms nobody.
func exists(file string) bool {
	if file == "" {
		return false
	}
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// panicPoll is how often the panic file is looked for: inside the switch every millisecond is somebody's wait.
const panicPoll = 5 * time.Millisecond

// panicked is the cause with which the panic file ends a context.
type panicked struct{ error }

func (p panicked) Unwrap() error { return p.error }

// withPanicFile returns a context that ends when the panic file appears, with a cause that says so. The file
// stops nothing behind the point of no return: there the context does not count any more.
func (c ControlConfig) withPanicFile(ctx context.Context, verb string) (context.Context, context.CancelFunc) {
	if c.PanicFile == "" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(context.Canceled) }
	look := func() bool {
		if !exists(c.PanicFile) {
			return false
		}
		cancel(panicked{plan.Fail(plan.KindNotSwitched, "remove the file when the cause is gone, then run pgleap "+verb+" again", "the panic file %s is there (--panic-file)", c.PanicFile)})
		return true
	}
	if look() {
		return ctx, stop
	}
	go func() {
		tick := time.NewTicker(panicPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if look() {
					return
				}
			}
		}
	}()
	return ctx, stop
}

// panicOf returns the word of the panic file that has ended ctx, or nil.
func panicOf(ctx context.Context) error {
	var p panicked
	if errors.As(context.Cause(ctx), &p) {
		return p.error
	}
	return nil
}

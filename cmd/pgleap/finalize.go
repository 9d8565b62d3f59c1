package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func finalizeCommand() *cli.Command {
	return &cli.Command{
		Name: "finalize", Usage: "after a cutover: drop the fence on the old server, the way back, and what is left of pgleap",
		Flags: join(addressFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "source-is-lost", Usage: "the old server is gone for good: finish on the target alone, also where a rollback had made the source the truth"},
			&cli.BoolFlag{Name: "target-is-lost", Usage: "the new server is gone for good, AND WITH IT WHAT HAD NOT COME BACK: let the source take writes again"},
			lateWritesFlag(),
		}, confirmFlags(), outputFlags()),
		Description: describe(`Drops schema pgleap on both sides, the way back, and the fence: THE OLD SERVER TAKES WRITES AGAIN that nobody carries
over. Do it when no client is left on it, just before it is shut down. First the old server's WAL is read to its end:
what somebody wrote there behind the fence is told, and refused until --despite-late-writes is given (exit 7).
With --target alone it finishes where the old server is gone for good. With --source and --target-is-lost it is the
emergency way back: the old server takes writes again, as far as it had followed the new one, which it says.`, `
pgleap finalize --confirm shop
pgleap finalize --target postgres://postgres@new/shop --confirm shop
pgleap finalize --source postgres://postgres@old/shop --target-is-lost --confirm shop`,
			exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitPastReturn, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			sourceLost, targetLost := c.Bool("source-is-lost"), c.Bool("target-is-lost")
			if sourceLost && targetLost {
				return plan.Fail(plan.KindUsage, "say which one is there", "with both servers lost nothing is left to finish")
			}
			if !targetLost && !given(c, plan.Target) {
				return plan.Fail(plan.KindUsage, "give --target, or set PGLEAP_TARGET; only if the new server is gone for good, and with it what was written there and had not come back: --target-is-lost", "no address of the target")
			}
			n := needs{source: !sourceLost && (targetLost || given(c, plan.Source)), target: !targetLost}
			s, err := newSessionOf(c, n)
			if err != nil {
				return err
			}
			s.LateWrites = c.Bool("despite-late-writes")
			return s.finish(s.finalize(c, n, pipeline.Lost(sourceLost)))
		},
	}
}

func (s *session) finalize(c *cli.Context, n needs, lost pipeline.Lost) error {
	what, act := "The fence on the old server goes: it takes writes again that nobody carries over.", pipeline.Finalize
	switch {
	case !n.target:
		what = "THE NEW SERVER IS GIVEN UP, with what was written there and had not come back. The old server takes writes again."
		act = pipeline.FinalizeSource
	case !n.source:
		what = "The old server is given up. On the new one everything of pgleap goes."
		act = func(ctx context.Context, c pipeline.Config) error { return pipeline.FinalizeTarget(ctx, c, lost) }
	}
	if err := s.confirm(c, what); err != nil {
		return err
	}
	return act(c.Context, s.Config)
}

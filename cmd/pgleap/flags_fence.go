package main

import (
	"github.com/urfave/cli/v2"

	"pgleap/plan"
)

func fenceFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "fence", Value: string(plan.FenceAuto),
		Usage: "stop the writers by `HOW`: lock (every table is locked), guard (triggers made beforehand, one lock; for many tables), or auto (guard for more than 200 tables)",
	}
}

// fence is the flag's value as a plan holds it: what is chosen by itself is no choice.
func fence(c *cli.Context) plan.Fence {
	if f := plan.Fence(c.String("fence")); f != plan.FenceAuto {
		return f
	}
	return ""
}

func fenceKnown(f plan.Fence) error {
	if f == "" || f == plan.FenceLock || f == plan.FenceGuard {
		return nil
	}
	return plan.Fail(plan.KindUsage, "give auto, lock or guard", "--fence %q is not known", string(f))
}

func lateWritesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "despite-late-writes", Usage: "finalize although somebody wrote to the old server behind the fence: it was carried over, or is not needed"}
}

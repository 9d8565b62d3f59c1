package main

import (
	"errors"
	"os"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func syncCommand() *cli.Command {
	return &cli.Command{
		Name: "sync", Usage: "definitions, slot, first copy, follow, indexes: up to ready for cutover. Run it again to resume",
		Flags: join(addressFlags(), planFlags(), []cli.Flag{&cli.StringFlag{Name: "plan", Usage: "carry out exactly the plan in `FILE`; refuse it when the servers have changed"}}, outputFlags()),
		Description: describe(`Copies the definitions, makes publication, slot and subscription, follows the first copy, then builds indexes and
constraints, analyzes, and compares the catalogs of both sides. It can be interrupted or killed at any time: the
same command, from any machine, goes on. The source keeps serving; it keeps WAL until the slot is dropped.`,
			"pgleap sync --source postgres://postgres@old/shop --target postgres://postgres@new/shop", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			saved, err := loadPlan(c.String("plan"))
			if err != nil {
				return err
			}
			return s.finish(s.showBlocked(pipeline.Sync(c.Context, s.Config, saved)))
		},
	}
}

// showBlocked prints the findings that stopped a walk, as check would.
func (s *session) showBlocked(err error) error {
	var blocked *pipeline.BlockedError
	if !errors.As(err, &blocked) || s.json {
		return err
	}
	p := blocked.Plan
	if werr := plan.WriteFindings(os.Stderr, p.Source, p.Target, p.Findings, plan.Made()); werr != nil {
		return werr
	}
	return reported{err}
}

func abortCommand() *cli.Command {
	return &cli.Command{
		Name: "abort", Usage: "undo everything before the point of no return; works with --source alone",
		Flags: join(addressFlags(), poolerFlags(), outputFlags()),
		Description: describe(`Drops subscription, slot and publication, and everything that was loaded onto the target. With --source alone it
removes what the run has on the source: an orphan slot would fill the source's disk. Refused once the switch is past
the point of no return.`, `
pgleap abort --source postgres://postgres@old/shop --target postgres://postgres@new/shop
pgleap abort --source postgres://postgres@old/shop`, exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitPastReturn, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, false)
			if err != nil {
				return err
			}
			return s.finish(pipeline.Abort(c.Context, s.Config))
		},
	}
}

package main

import (
	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "after a cutover: go back to the source without losing what was written to the target",
		Flags: join(addressFlags(), switchFlags(), trafficFlags(), controlFlags(), confirmFlags(), outputFlags()),
		Description: describe(`The same switch in the other direction, possible from a cutover until pgleap finalize: fences every table of the target,
proves that everything written there has arrived on the source, carries the sequences back, and commits the fence: from
then on the source is the truth again, and the target follows it. Afterwards the run is ready for another pgleap cutover,
with no new copy. When writes have waited for --max-write-stall everything is undone and the target is writable again
(exit 6). Killed at any instruction, the same command repairs it. It waits, is held, stopped, rehearsed and reported as a cutover is.`,
			"pgleap rollback --confirm shop --max-write-stall 2s", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitNotSwitched, exitPastReturn, exitLocked, exitInterrupted),
		Action: switchAction("fence the NEW server → drain → sequences back to the old one", pipeline.Rollback),
	}
}

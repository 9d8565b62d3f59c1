package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func confirmFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "confirm", Usage: "the source database's `NAME`, instead of being asked for it"},
		&cli.BoolFlag{Name: "no-input", Usage: "fail instead of asking"},
	}
}

func cutoverCommand() *cli.Command {
	return &cli.Command{
		Name: "cutover", Usage: "stop the writes on the source and let the target take them: the only verb that stops writes",
		Flags: join(addressFlags(), []cli.Flag{
			&cli.DurationFlag{Name: "max-write-stall", DefaultText: "the plan's", Usage: "when writes have waited this long everything is undone and the source is writable again"},
			&cli.Int64Flag{Name: "sequence-margin", DefaultText: "the plan's", Usage: "values that every sequence skips at the switch, in its own direction"},
		}, confirmFlags(), outputFlags()),
		Description: describe(`Fences every table of the source against all writers, proves that everything written has arrived, carries the
sequences over, and commits the fence: from then on the target is the truth. Readers are never stopped; writers wait,
then meet SQLSTATE 25006 on the old server. When writes have waited for --max-write-stall everything is undone and the
source is writable again (exit 6). Killed at any instruction, the same command repairs it.`,
			"pgleap cutover --confirm shop --max-write-stall 2s", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitNotSwitched, exitPastReturn, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			budget := ""
			if c.IsSet("max-write-stall") {
				budget = ", budget " + plan.HumanDuration(s.Options.MaxWriteStall)
			}
			if !c.IsSet("sequence-margin") {
				s.Options.SequenceMargin = -1 // the plan's
			}
			if err := s.confirm(c, "fence → drain → sequences → release. Writes stop for a moment"+budget+"."); err != nil {
				return s.finish(err)
			}
			return s.finish(pipeline.Cutover(c.Context, s.Config))
		},
	}
}

func finalizeCommand() *cli.Command {
	return &cli.Command{
		Name: "finalize", Usage: "after a cutover: drop the fence on the old server and what is left of pgleap",
		Flags: join(addressFlags(), []cli.Flag{lateWritesFlag()}, confirmFlags(), outputFlags()),
		Description: describe(`Drops schema pgleap on both sides, and with it the fence: THE OLD SERVER TAKES WRITES AGAIN that nobody carries
over. Do it when no client is left on it, just before it is shut down. First the old server's WAL is read to its end:
what somebody wrote there behind the fence is told, and refused until --despite-late-writes is given (exit 7).`,
			"pgleap finalize --confirm shop", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitPastReturn, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			s.LateWrites = c.Bool("despite-late-writes")
			if err := s.confirm(c, "The fence on the old server goes: it takes writes again that nobody carries over."); err != nil {
				return s.finish(err)
			}
			return s.finish(pipeline.Finalize(c.Context, s.Config))
		},
	}
}

// confirm has the database's name typed, or given by --confirm.
func (s *session) confirm(c *cli.Context, what string) error {
	name := s.Source.Database()
	given := c.String("confirm")
	if given == "" {
		if c.Bool("no-input") || s.json || !term.IsTerminal(int(os.Stdin.Fd())) {
			return plan.Fail(plan.KindUsage, fmt.Sprintf("give --confirm %q", name), "pgleap %s must be confirmed, and there is nobody to ask", s.verb)
		}
		fmt.Fprintf(os.Stderr, "%s\nType %q to continue: ", what, name)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return fmt.Errorf("read the confirmation: %w", err)
		}
		given = strings.TrimSpace(line)
	}
	if given != name {
		return plan.Fail(plan.KindUsage, fmt.Sprintf("the source's database is %q", name), "%q does not confirm it; nothing was done", given)
	}
	return nil
}

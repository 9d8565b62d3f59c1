package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

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
		Flags: join(addressFlags(), switchFlags(), trafficFlags(), controlFlags(), confirmFlags(), outputFlags()),
		Description: describe(`Fences every table of the source against all writers, proves that everything written has arrived, carries the
sequences over, and commits the fence: from then on the target is the truth. Readers are never stopped; writers wait,
then meet SQLSTATE 25006 on the old server. When writes have waited for --max-write-stall everything is undone and the
source is writable again (exit 6). Killed at any instruction, the same command repairs it.

With --pgbouncer the clients are held before the fence and go on at the new server behind it: they wait, and none
fails. If pgleap dies meanwhile, a watchdog process lets them go on at the server that is the truth.

It begins at once, at a time (--at), or at a word from another terminal (--hold, then --go), and never while a
--postpone-file exists. With --rehearse nothing is kept: it says how long the real one would take. A report is left in
--report, and in the journal: pgleap status --report.

`+hooksText,
			"pgleap cutover --confirm shop --max-write-stall 2s\npgleap cutover --confirm shop --rehearse\npgleap cutover --confirm shop --hold      and from another terminal: pgleap cutover --go", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitNotSwitched, exitPastReturn, exitLocked, exitInterrupted),
		Action: switchAction("fence → drain → sequences", pipeline.Cutover),
	}
}

// switchAction is that of a switch in either direction: steps are what is asked about, act is what is done then.
func switchAction(steps string, act func(context.Context, pipeline.Config) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := newSession(c, true)
		if err != nil {
			return err
		}
		if s.Control, err = controlConfig(c, time.Now()); err != nil {
			return s.finish(err)
		}
		if c.Bool("go") {
			return s.finish(pipeline.GiveWord(c.Context, s.Config))
		}
		if err := s.confirm(c, s.switchPrompt(steps, s.switchOptions(c))); err != nil {
			return s.finish(err)
		}
		return s.finish(act(c.Context, s.Config))
	}
}

// switchPrompt says what will happen.
func (s *session) switchPrompt(steps, budget string) string {
	text := steps + " → release. Writes stop for a moment" + budget + "."
	if s.Control.Rehearse {
		text = "A rehearsal: " + steps + ", and back. Writes stop for a moment" + budget + ", and go on where they were."
	}
	if !s.Control.At.IsZero() {
		text += " Not before " + s.Control.At.Format("15:04:05 on 2006-01-02 MST") + "."
	}
	return text
}

// switchFlags are those of a switch, in either direction.
func switchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "max-write-stall", DefaultText: "the plan's", Usage: "when writes have waited this long everything is undone, and they go on where they were"},
		&cli.Int64Flag{Name: "sequence-margin", DefaultText: "the plan's", Usage: "values that every sequence skips at the switch, in its own direction"},
	}
}

// switchOptions leaves to the plan what was not given, and says the budget that was.
func (s *session) switchOptions(c *cli.Context) (budget string) {
	if !c.IsSet("sequence-margin") {
		s.Options.SequenceMargin = -1 // the plan's
	}
	if c.IsSet("max-write-stall") {
		budget = ", budget " + plan.HumanDuration(s.Options.MaxWriteStall)
	}
	return budget
}

// confirm has the database's name typed, or given by --confirm.
func (s *session) confirm(c *cli.Context, what string) error {
	at, side := s.Source, plan.Source
	if at.IsZero() { // it is lost for good
		at, side = s.Target, plan.Target
	}
	name := at.Database()
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
		return plan.Fail(plan.KindUsage, fmt.Sprintf("the %s's database is %q", side, name), "%q does not confirm it; nothing was done", given)
	}
	return nil
}

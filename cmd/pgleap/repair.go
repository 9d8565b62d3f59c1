package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/internal/traffic"
	"pgleap/plan"
)

func repairCommand() *cli.Command {
	return &cli.Command{
		Name: "repair", Usage: "let the clients of the poolers go on, after a switch that was killed together with its watchdog",
		Flags: join(addressFlags(), poolerFlags(), outputFlags()),
		Description: describe(`Asks whether the fence was committed, and lets the clients go on at the server that is the truth: configuration put
right, RELOAD, RESUME. It is what a watchdog does by itself when pgleap is killed in the middle of a switch. It refuses
while a pgleap is alive, and may be run at any time and again.`,
			"pgleap repair --pgbouncer postgres://admin@pool:6432/pgbouncer --pgbouncer-config /etc/pgbouncer/pgbouncer.ini",
			exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady, exitPastReturn, exitLocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			if len(s.Traffic.Poolers) == 0 {
				return s.finish(plan.Fail(plan.KindUsage, "give --pgbouncer postgres://ADMIN@HOST:PORT/pgbouncer", "no pooler is named, and without one nobody is held: pgleap cutover goes on where a killed one stopped"))
			}
			return s.finish(pipeline.Repair(c.Context, s.Config))
		},
	}
}

// watchdogCommand is started by a switch, never by hand: all that it has to know comes through its standard input.
func watchdogCommand() *cli.Command {
	return &cli.Command{
		Name: "watchdog", Hidden: true, Usage: "started by a switch: lets the clients go on when it dies",
		Description: describe("Started by a switch, never by hand.", "pgleap cutover", exitOK, exitUnexpected, exitUsage),
		Action: func(c *cli.Context) error {
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // what ends a switch must not end this
			return traffic.Watch(c.Context, os.Stdin, os.Stdout, os.Stderr, point)
		},
	}
}

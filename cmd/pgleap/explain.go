package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"pgleap/plan"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "what a check or an exit code means",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "check", Usage: "the `ID` of a check, such as replica-identity; without it all are listed"},
			&cli.StringFlag{Name: "exit", Usage: "an exit `CODE`"},
		},
		Description: describe("Prints what a check looks for and why, or what an exit code means.", "pgleap explain --check replica-identity\npgleap explain --exit 6", exitOK, exitUsage),
		Action: func(c *cli.Context) error {
			if code := c.String("exit"); code != "" {
				return explainExit(c, code)
			}
			found := false
			for _, k := range plan.Checks() {
				if id := c.String("check"); id == "" || id == k.ID {
					found = true
					fmt.Fprintf(c.App.Writer, "%-22s %s, %s\n    %s\n", k.ID, k.Severity, k.Title, k.Why)
				}
			}
			if !found {
				return plan.Fail(plan.KindUsage, "pgleap explain lists them", "there is no check %q", c.String("check"))
			}
			return nil
		},
	}
}

func explainExit(c *cli.Context, code string) error {
	n, err := strconv.Atoi(strings.TrimSpace(code))
	for _, m := range exitMeanings {
		if err == nil && m.code == n {
			_, err = fmt.Fprintf(c.App.Writer, "exit %d: %s\n", m.code, m.meaning)
			return err
		}
	}
	return plan.Fail(plan.KindUsage, "the codes are in every --help", "there is no exit code %q", code)
}

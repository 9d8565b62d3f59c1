package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"pgleap/plan"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "what a check or an exit code means: pgleap explain replica-identity, pgleap explain exit 6",
		Description: describe("Prints what a check looks for, why, and its mend, or what an exit code means. Without a name all checks are\nlisted; docs/checks.md holds the same.",
			"pgleap explain replica-identity\npgleap explain exit 6", exitOK, exitUsage),
		Action: func(c *cli.Context) error {
			switch args := c.Args().Slice(); {
			case len(args) == 0:
				return listChecks(c.App.Writer)
			case args[0] == "exit" && len(args) == 2:
				return explainExit(c, args[1])
			case len(args) == 1:
				return explainCheck(c.App.Writer, args[0])
			}
			return plan.Fail(plan.KindUsage, "pgleap explain ID, or pgleap explain exit CODE", "explain takes one check or one exit code")
		},
	}
}

// whenMade spells out CheckInfo.When.
func whenMade(when string) string {
	var out []string
	for _, w := range []struct{ letter, text string }{
		{"P", "check and plan"}, {"S", "status, while syncing"}, {"C", "each cutover, before anybody waits"}, {"A", "afterwards"},
	} {
		if strings.Contains(when, w.letter) {
			out = append(out, w.text)
		}
	}
	return strings.Join(out, "; ")
}

func listChecks(w io.Writer) error {
	for _, k := range plan.Checks() {
		if _, err := fmt.Fprintf(w, "%-22s %-8s %s\n", k.ID, k.Severity, k.Title); err != nil {
			return err
		}
	}
	return nil
}

func explainCheck(w io.Writer, id string) error {
	for _, k := range plan.Checks() {
		if k.ID == id {
			_, err := fmt.Fprintf(w, "%s: %s\n\nworst   %s\nmade by %s\nwhy     %s\nmend    %s\n", k.ID, k.Title, k.Severity, whenMade(k.When), k.Why, k.Mend)
			return err
		}
	}
	if mayHoldPassword(id) {
		return plan.Fail(plan.KindUsage, "pgleap explain lists the checks", "what stands in place of a check may hold a password, and is not shown")
	}
	return plan.Fail(plan.KindUsage, "pgleap explain lists them", "there is no check %q", id)
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

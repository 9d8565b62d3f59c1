package main

import (
	"context"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// reportFolder is where reports go when nobody says otherwise.
const reportFolder = "pgleap-report"

// controlFlags are those of the verbs that make a switch.
func controlFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "at", Usage: "prepare everything, and begin the switch at this `TIME`: RFC 3339, or HH:MM[:SS] of today or tomorrow"},
		&cli.BoolFlag{Name: "hold", Usage: "prepare everything, and begin the switch when the same verb with --go says so in another terminal"},
		&cli.BoolFlag{Name: "go", Usage: "give the word to the one that waits with --hold; needs no other flag than the addresses"},
		&cli.StringFlag{Name: "postpone-file", Usage: "while this `FILE` exists the switch is not begun"},
		&cli.StringFlag{Name: "panic-file", Usage: "when this `FILE` appears before the point of no return everything is undone (exit 6); behind it, it changes nothing"},
		&cli.DurationFlag{Name: "quiet", DefaultText: "half of the budget, 1s at most", Usage: "begin in a moment in which no transaction is open for longer than this; 0 does not look"},
		&cli.DurationFlag{Name: "quiet-timeout", Value: time.Minute, Usage: "how long a quiet moment is waited for (exit 5)"},
		&cli.BoolFlag{Name: "rehearse", Usage: "everything up to the point of no return, within the budget, and back: says how long the real one would take"},
		&cli.StringFlag{Name: "sessions", Value: string(pipeline.SessionsKeep), Usage: "what becomes of the clients on the server that is left: `HOW` is keep (they meet SQLSTATE 25006), or terminate; without a pooler"},
		&cli.StringFlag{Name: "report", DefaultText: reportFolder, Usage: "the `DIR` that the report is written into, as Markdown and JSON; \"\" writes none [$PGLEAP_REPORT]"},
	}
}

// controlConfig reads controlFlags.
func controlConfig(c *cli.Context, now time.Time) (pipeline.ControlConfig, error) {
	k := pipeline.ControlConfig{
		Hold: c.Bool("hold"), PostponeFile: c.String("postpone-file"), PanicFile: c.String("panic-file"),
		Quiet: c.Duration("quiet"), QuietTimeout: c.Duration("quiet-timeout"), Rehearse: c.Bool("rehearse"), Sessions: pipeline.Sessions(c.String("sessions")), Report: c.String("report"),
	}
	if !c.IsSet("report") {
		k.Report = first(env("PGLEAP_REPORT"), reportFolder)
	}
	if c.IsSet("quiet") && k.Quiet < 0 {
		return k, plan.Fail(plan.KindUsage, "give 0 to look for nothing", "--quiet %s is negative", k.Quiet)
	}
	if !c.IsSet("quiet") {
		k.Quiet = -1
	}
	if k.QuietTimeout <= 0 {
		return k, plan.Fail(plan.KindUsage, "give at least 1s, or --quiet 0", "--quiet-timeout %s leaves no time to wait", k.QuietTimeout)
	}
	if k.Sessions != pipeline.SessionsKeep && k.Sessions != pipeline.SessionsTerminate {
		return k, plan.Fail(plan.KindUsage, "give keep or terminate", "--sessions %q is not known", string(k.Sessions))
	}
	if k.PanicFile != "" && k.PanicFile == k.PostponeFile {
		return k, plan.Fail(plan.KindUsage, "give two files", "--panic-file and --postpone-file are the same file: %s", k.PanicFile)
	}
	for _, name := range []string{"at", "hold", "postpone-file", "panic-file", "quiet", "rehearse", "sessions"} {
		if c.Bool("go") && c.IsSet(name) {
			return k, plan.Fail(plan.KindUsage, "give --go alone: what it lets begin has flags of its own", "--go and --%s", name)
		}
	}
	var err error
	if c.IsSet("at") {
		k.At, err = clockTime(c.String("at"), now)
	}
	return k, err
}

// clockTime reads when to begin. A time of day is today's, or tomorrow's when that has passed.
func clockTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		if !t.After(now) {
			return t, plan.Fail(plan.KindUsage, "give a time to come, or leave --at out to begin at once", "--at %s has passed: it is %s", text, now.Format(time.RFC3339))
		}
		return t, nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		for day := now.Day(); ; day++ {
			at := time.Date(now.Year(), now.Month(), day, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if at.After(now) {
				return at, nil
			}
		}
	}
	return time.Time{}, plan.Fail(plan.KindUsage, "give 2006-01-02T15:04:05Z, 2006-01-02T15:04:05+02:00, 15:04 or 15:04:05", "--at %q is no time", text)
}

// writeLastReport prints the newest report that is in the journal.
func writeLastReport(ctx context.Context, s *session, out io.Writer) error {
	r, there, err := pipeline.LastReport(ctx, s.Config)
	if err != nil {
		return err
	}
	if !there {
		return plan.Fail(plan.KindNotReady, "a cutover, a rollback and a cutover --rehearse leave one", "the journal of run %s has no report", s.Run)
	}
	if s.json {
		return r.WriteJSON(out)
	}
	return r.WriteMarkdown(out)
}

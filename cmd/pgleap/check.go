package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "read both servers, print what would go wrong and its mend", Flags: join(addressFlags(), planFlags(), []cli.Flag{trialFlag()}, outputFlags()),
		Description: describe(`Reads the catalogs and settings of both servers and judges them. The definitions are loaded for trial into a scratch
database of the target, pgleap_trial_…, which is dropped at once; in it is also tried whether the target reaches the
source. Nothing else is changed. Without a scratch database (--trial-load none, or a role without CREATEDB) that is
tried in a transaction of the target that is rolled back.`,
			"pgleap check --source postgres://postgres@old/shop --target postgres://postgres@new/shop", exitOK, exitUnexpected, exitUsage, exitBlocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			defer s.printer.Close(false)
			return runCheck(c.Context, s, c.App.Writer)
		},
	}
}

// checkDocument is what check prints with --json.
type checkDocument struct {
	Source   plan.Facts     `json:"source"`
	Target   plan.Facts     `json:"target"`
	Findings []plan.Finding `json:"findings"`
	Checks   int            `json:"checks"`
	Exit     int            `json:"exit"`
}

// readOnce lets the collector of a command that reads a lot once, and ends, run a quarter as often.
func readOnce() { debug.SetGCPercent(400) }

func runCheck(ctx context.Context, s *session, out io.Writer) error {
	readOnce()
	r, err := pipeline.Read(ctx, s.Config)
	if err != nil {
		return err
	}
	options := r.OptionsFor(s.Options)
	if r.Begun != nil && !s.json {
		s.printer.Event(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("run %s has begun: judged with the options that it was begun with", s.Run)})
	}
	findings := plan.Check(r.Source, r.Target, options)
	if _, err := plan.Select(r.Source, options); err != nil {
		return &plan.Failure{Kind: plan.KindUsage, Err: err}
	}
	var blocked error
	if plan.Blocked(findings) {
		blocked = reported{&pipeline.BlockedError{Plan: plan.Plan{Findings: findings}}}
	}
	if s.json {
		if findings == nil {
			findings = []plan.Finding{}
		}
		err = writeJSON(out, checkDocument{r.Source, r.Target, findings, plan.Made(), exitCode(blocked)})
	} else {
		err = plan.WriteFindings(out, r.Source, r.Target, findings, plan.Made())
	}
	if err != nil {
		return err
	}
	return blocked
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "print everything that will happen: text, a Markdown runbook, or JSON",
		Flags: join(addressFlags(), planFlags(), []cli.Flag{
			trialFlag(),
			&cli.StringFlag{Name: "format", Value: "text", Usage: "text, markdown or json"},
			&cli.StringFlag{Name: "out", Usage: "write the plan as JSON into `FILE`, for pgleap sync --plan FILE"},
			&cli.StringFlag{Name: "diff", Usage: "say what has changed since the plan in `FILE` was read; a difference is no failure: the exit code is 0"},
		}, outputFlags()),
		Description: describe(`Prints the findings and every statement that will run, on which side, with its hazards. What is printed is what
is executed: sync --plan FILE carries out exactly a saved plan, and refuses it when the servers have changed. With --diff the plan is not printed, but what differs from an old one:
steps, findings, acceptance, settings, and sizes and estimates that moved by more than 20 %.`, `
pgleap plan --format markdown > runbook.md
pgleap plan --diff monday.json --out friday.json
pgleap plan --out plan.json && pgleap sync --plan plan.json`, exitOK, exitUnexpected, exitUsage, exitBlocked, exitInterrupted),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			defer s.printer.Close(false)
			o := planOutput{format: c.String("format"), file: c.String("out"), diff: c.String("diff")}
			if o.diff != "" {
				return runDiff(c.Context, s, c.App.Writer, o)
			}
			return runPlan(c.Context, s, c.App.Writer, o)
		},
	}
}

// planOutput is where a plan goes, and in which form.
type planOutput struct{ format, file, diff string }

func runPlan(ctx context.Context, s *session, out io.Writer, o planOutput) error {
	readOnce()
	format, file := o.format, o.file
	if s.json {
		format = "json"
	}
	write := map[string]func(plan.Plan, io.Writer) error{"text": plan.Plan.WriteText, "markdown": writeRunbook, "json": plan.Plan.Encode}[format]
	if write == nil {
		return plan.Fail(plan.KindUsage, "give text, markdown or json", "--format %q is not known", format)
	}
	p, err := pipeline.Make(ctx, s.Config)
	if err != nil {
		return err
	}
	if file != "" {
		if err := savePlan(p, file); err != nil {
			return err
		}
	}
	if err := write(p, out); err != nil {
		return err
	}
	if plan.Blocked(p.Findings) {
		return reported{&pipeline.BlockedError{Plan: p}}
	}
	return nil
}

func writeRunbook(p plan.Plan, w io.Writer) error { return p.WriteMarkdown(w, time.Now()) }

func savePlan(p plan.Plan, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	if err := p.Encode(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("save the plan in %s: %w", file, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("save the plan in %s: %w", file, err)
	}
	return nil
}

func loadPlan(file string) (*plan.Plan, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("read the plan: %w", err), Fix: "make one with pgleap plan --out " + file}
	}
	defer f.Close()
	p, err := plan.Decode(f)
	if err != nil {
		return nil, &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("read the plan %s: %w", file, err)}
	}
	return &p, nil
}

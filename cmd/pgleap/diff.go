package main

import (
	"context"
	"io"
	"os"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// diffDocument is what plan --diff prints with --json.
type diffDocument struct {
	Since   string        `json:"since"`   // the file of the old plan
	Changes []plan.Change `json:"changes"` // empty: nothing that matters
	Refused bool          `json:"refused"` // sync --plan would refuse the old plan
}

// runDiff says what has changed since a plan was read. Whatever it is, it is no failure.
func runDiff(ctx context.Context, s *session, out io.Writer, o planOutput) error {
	if o.format == "markdown" {
		return plan.Fail(plan.KindUsage, "leave --format out, or give text or json", "--diff has no Markdown form")
	}
	old, err := loadPlan(o.diff)
	if err != nil {
		return err
	}
	if old.Run != s.Run {
		return plan.Fail(plan.KindUsage, "use --run "+string(old.Run)+", or give a plan of this run", "%s is a plan of run %s, not of run %s", o.diff, old.Run, s.Run)
	}
	now, err := pipeline.Make(ctx, s.Config)
	if err != nil {
		return err
	}
	if o.file != "" {
		if err := savePlan(now, o.file); err != nil {
			return err
		}
	}
	changes := old.Diff(now)
	if s.json || o.format == "json" {
		if changes == nil {
			changes = []plan.Change{}
		}
		return writeJSON(out, diffDocument{o.diff, changes, plan.Binding(changes)})
	}
	return plan.WriteChanges(out, describeFile(o.diff), changes)
}

// describeFile is the file with the time of its writing, which a plan itself does not hold.
func describeFile(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return file
	}
	return file + " of " + info.ModTime().Format("2006-01-02 15:04")
}

package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// writeReport writes both files; a folder that cannot be written is told.
func (r *run) writeReport(report Report) {
	if r.Control.Report == "" {
		return
	}
	files, err := report.writeFiles(r.Control.Report)
	if err != nil {
		r.emit(plan.Event{Kind: plan.EventNote, Message: fmt.Sprintf("the report could not be written (%v); pgleap status --report prints it", err), Data: map[string]any{"report_error": err.Error()}})
		return
	}
	r.emit(plan.Event{Kind: plan.EventNote, Message: "the report: " + files[0], Data: map[string]any{"report": files}})
}

func (r Report) writeFiles(folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	verb := r.Verb
	if r.Rehearsal {
		verb += "-rehearsal"
	}
	name := filepath.Join(folder, fmt.Sprintf("%s-%s-%s", r.Run, verb, r.Began.UTC().Format("20060102T150405Z")))
	var files []string
	for _, f := range []struct {
		suffix string
		write  func(*strings.Builder) error
	}{
		{".md", func(b *strings.Builder) error { return r.WriteMarkdown(b) }},
		{".json", func(b *strings.Builder) error { return r.WriteJSON(b) }},
	} {
		var text strings.Builder
		if err := f.write(&text); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name+f.suffix, []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
		files = append(files, name+f.suffix)
	}
	return files, nil
}

// LastReport reads the newest report from the journal on the target; false is that there is none.
func LastReport(ctx context.Context, c Config) (Report, bool, error) {
	t, err := pg.OpenTarget(ctx, c.Target, pg.Options{Verb: c.Verb, ReadOnly: true, Log: c.Log})
	if err != nil {
		return Report{}, false, err
	}
	defer t.Close()
	j := journal.On(t, c.Run)
	known, err := j.Load(ctx)
	if err != nil || known == nil {
		return Report{}, false, err
	}
	var r Report
	there, err := j.Data(ctx, journal.Report, "", &r)
	if err != nil || !there {
		return r, false, err
	}
	return r, true, r.typeSequences()
}

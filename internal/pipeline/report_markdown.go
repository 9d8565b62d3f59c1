package pipeline

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"pgleap/cutover"
	"pgleap/plan"
	"pgleap/sequences"
)

// WriteMarkdown writes the report for people.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	r.mdHead(&b)
	r.mdTimeline(&b)
	r.mdParts(&b)
	r.mdProof(&b)
	r.mdClients(&b)
	r.mdSequences(&b)
	r.mdWarnings(&b)
	fmt.Fprintf(&b, "\n## The way back\n\n%s\n", md(r.WayBack))
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// md escapes what came from elsewhere.
func md(s string) string { return plan.MarkdownText(strings.ReplaceAll(s, "\n", "; ")) }

const clock = "2006-01-02 15:04:05.000 MST"

func (r Report) mdHead(b *bytes.Buffer) {
	verb := strings.ToUpper(r.Verb[:1]) + r.Verb[1:]
	if r.Rehearsal {
		verb = "Rehearsal of a " + r.Verb
	}
	fmt.Fprintf(b, "# %s of run %s: %s\n\n%s\n\n", verb, md(string(r.Run)), r.Outcome, r.verdict())
	if r.Error != "" {
		fmt.Fprintf(b, "> %s\n\n", md(r.Error))
	}
	b.WriteString("| | server | address | version | system identifier | pgleap connected as |\n|---|---|---|---|---|---|\n")
	for _, s := range []struct {
		what string
		ReportServer
	}{{"is left", r.Left}, {"takes over", r.TakesOver}} {
		fmt.Fprintf(b, "| **%s** | %s | %s | PostgreSQL %s | %s | %s |\n", s.what, s.Side, md(s.Address), md(s.Version), md(s.SystemID), md(s.User))
	}
	fmt.Fprintf(b, "\nRun by %s with %s, from %s to %s.\n", md(r.By), md(r.Tool), r.Began.UTC().Format(clock), r.Ended.UTC().Format(clock))
	for _, w := range r.Waits {
		fmt.Fprintf(b, "\nBefore writes stopped %s was waited for, for %s.\n", md(w.For), plan.HumanDuration(seconds(w.Seconds)))
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// verdict is the outcome in a sentence.
func (r Report) verdict() string {
	stall := 0.0
	if r.Switch != nil {
		stall = r.Switch.StallMS
	}
	budget := plan.HumanDuration(seconds(r.Budget))
	switch {
	case r.Outcome == Rehearsed:
		text := fmt.Sprintf("Writes stood still for **%.0f ms** (budget %s), and go on on the server that they went to before. The real one would take about as long: its commit and release stand where the rehearsal gave everything back.", stall, budget)
		if r.LeftOut > 0 {
			text += fmt.Sprintf(" What is copied in the switch (%s) was left out: the real one takes longer by that.", plan.Plural(r.LeftOut, "step"))
		}
		return text
	case r.Outcome == Undone && r.Rehearsal:
		return "The rehearsal did not come to its end, and everything was given back: clients write on where they did. How long the real one takes it cannot tell."
	case r.Outcome == Undone:
		return "Everything was undone: clients write on on the server that was to be left."
	case r.Earlier:
		return "The switch was made by a process that ended behind it, and this one went on: the moments of that one are lost."
	case r.Outcome == Stopped:
		return "Something failed at the point of no return, or behind it: what follows says what the truth is, and how to go on."
	case r.Outcome == Unclear:
		return "Whether everything was undone could not be asked: what follows says how to find out."
	case r.Switch != nil && r.Switch.Repaired:
		return "The fence of an earlier, killed attempt stood already: it was drained anew, and the clients go on."
	}
	return fmt.Sprintf("Writes stood still for **%.0f ms** (budget %s).", stall, budget)
}

func (r Report) mdTimeline(b *bytes.Buffer) {
	if len(r.Timeline) == 0 {
		return
	}
	b.WriteString("\n## Timeline\n\n| ms | at | |\n|---:|---|---|\n")
	for _, m := range r.Timeline {
		fmt.Fprintf(b, "| %.1f | %s | %s |\n", m.MS, m.At.UTC().Format("15:04:05.000"), md(m.What))
	}
}

func (r Report) mdParts(b *bytes.Buffer) {
	s := r.Switch
	if s == nil {
		return
	}
	b.WriteString("\n## Parts\n\n| part | ms |\n|---|---:|\n")
	for _, p := range []struct {
		what string
		ms   float64
	}{
		{"hold the clients", s.HoldMS},
		{fmt.Sprintf("lock %s (attempt %d)", plan.Plural(s.Tables, "table"), s.Attempts), s.LockMS},
		{"commit the marker", s.MarkerMS},
		{"fence, beside the drain", s.TriggersMS},
		{"drain", s.DrainMS},
		{"slot of the way back", s.BackMS},
		{"point the traffic at the new side, beside the drain", s.MoveMS},
		{"sequences, beside the drain", s.SequencesMS},
		{fmt.Sprintf("copy %s and %s, beside the drain", plan.Plural(s.Copied, "table"), plan.Plural(int(s.LargeObjects), "large object")), s.CopyMS},
		{"commit the fence", s.CommitMS},
		{"let the clients go on", s.ReleaseMS},
		{"**writes stood still**", s.StallMS},
	} {
		if p.ms >= 0.05 { // less is nothing that was done
			fmt.Fprintf(b, "| %s | %.1f |\n", p.what, p.ms)
		}
	}
}

func (r Report) mdProof(b *bytes.Buffer) {
	if r.Switch == nil || r.Switch.FenceLSN == "" || r.Outcome == Undone || r.Outcome == Unclear {
		return
	}
	fmt.Fprintf(b, "\n## The fence\n\nFence LSN %s: %s\n", r.Switch.FenceLSN, fenceWords(*r.Switch))
	if a := r.Applied; a != nil {
		fmt.Fprintf(b, "Right after the release that server said: latest end %s, last applied transaction ends at %s.\n", known(a.LatestEndLSN), known(a.OriginLSN))
	}
	if len(r.Switch.Refusals) == 0 {
		return
	}
	b.WriteString("\nWrites that were tried behind the fence:\n\n| role | how | statement | refused | answer |\n|---|---|---|---|---|\n")
	for _, f := range r.Switch.Refusals {
		refused := "**NO**"
		switch {
		case f.Refused:
			refused = "yes"
		case f.Tried == "":
			refused = "not tried"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", md(f.Role), md(f.How), md(f.Tried), refused, md(f.Answer))
	}
}

// fenceWords say what the fence LSN is.
func fenceWords(s cutover.Result) string {
	switch {
	case s.FenceBefore:
		return "the fence was committed at or before it, by an attempt that was killed. There stands the marker that was drained anew, and that was seen on the server that takes over before this report was written."
	case s.Repaired:
		return "behind it stands the marker of the attempt that was killed behind its fence. What came later was drained anew up to " + s.DrainedLSN + "."
	}
	return "behind it stands the marker, and the marker was seen on the server that takes over before anything was released."
}

func known(lsn string) string {
	if lsn == "" {
		return "not known"
	}
	return lsn
}

func (r Report) mdClients(b *bytes.Buffer) {
	c := r.Clients
	if c == nil {
		return
	}
	n := 0
	for _, s := range c.Sessions {
		n += s.Sessions
	}
	fmt.Fprintf(b, "\n## What clients saw\n\n%d client sessions were on the server that is left; %d of them were ended.", n, c.Terminated)
	if c.Refused != nil {
		fmt.Fprintf(b, " Until this report was written %d writes of theirs met the fence.", *c.Refused)
	}
	b.WriteString("\n")
	if n > 0 {
		b.WriteString("\n| sessions | user | application | from |\n|---:|---|---|---|\n")
	}
	for _, s := range c.Sessions {
		from := s.Address
		if from == "" {
			from = "a local socket"
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s |\n", s.Sessions, md(s.User), md(s.Application), md(from))
	}
	for _, p := range c.Poolers {
		fmt.Fprintf(b, "\n%s counted meanwhile:\n\n", md(p.Name))
		for _, k := range slices.Sorted(maps.Keys(p.Figures)) {
			fmt.Fprintf(b, "- %s: %.4g\n", md(k), p.Figures[k])
		}
	}
}

// mdSequences tells those that were ever called: the others stand where they were made.
func (r Report) mdSequences(b *bytes.Buffer) {
	moved := slices.DeleteFunc(slices.Clone(r.Sequences), func(s sequences.Report) bool { return !s.SourceCalled && !s.TargetCalled })
	if len(r.Sequences) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Sequences\n\n%d, of which %d were ever called.\n", len(r.Sequences), len(moved))
	if len(moved) > 0 {
		b.WriteString("\n| sequence | on the side that is left | on the side that takes over | values ahead |\n|---|---:|---:|---:|\n")
	}
	for _, s := range moved {
		fmt.Fprintf(b, "| %s | %d | %d | %d |\n", md(s.Name), s.SourceLast, s.TargetLast, s.Margin)
	}
}

func (r Report) mdWarnings(b *bytes.Buffer) {
	if len(r.Warnings) > 0 {
		b.WriteString("\n## Warnings that the run was begun with\n\n")
	}
	for _, f := range r.Warnings {
		word := "NOT accepted"
		if f.Accepted {
			word = "accepted"
		}
		fmt.Fprintf(b, "- %s, %s: %s\n", f.Check, word, md(f.Problem))
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n## What was told meanwhile\n\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "- %s\n", md(n))
	}
}

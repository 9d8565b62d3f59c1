package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "stages, tables, lag, retained WAL, and what is wrong",
		Flags: join(addressFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "watch", Usage: "again every --every, until interrupted"},
			&cli.BoolFlag{Name: "report", Usage: "print the report of the last cutover, rollback or rehearsal of one instead"},
			&cli.DurationFlag{Name: "every", Value: 2 * time.Second, Usage: "with --watch"},
			&cli.Int64Flag{Name: "warn-bytes", Value: 10 << 20, Usage: "lag in bytes that is worth a warning"},
			&cli.Int64Flag{Name: "critical-bytes", Value: 100 << 20, Usage: "lag in bytes that is critical"},
			&cli.DurationFlag{Name: "warn-lag", Value: 5 * time.Second, Usage: "lag in time that is worth a warning"},
			&cli.DurationFlag{Name: "critical-lag", Value: 30 * time.Second, Usage: "lag in time that is critical"},
		}, outputFlags()),
		Description: describe(`Reads both servers and changes nothing. It names an apply worker that has stopped, why, and the command that mends it.`,
			"pgleap status --watch\npgleap status --report", exitOK, exitUnexpected, exitUsage, exitBlocked, exitDrift, exitNotReady),
		Action: func(c *cli.Context) error {
			s, err := newSession(c, true)
			if err != nil {
				return err
			}
			defer s.printer.Close(false)
			if c.Bool("report") {
				return writeLastReport(c.Context, s, c.App.Writer)
			}
			if c.Duration("every") <= 0 {
				return plan.Fail(plan.KindUsage, "give at least 100ms", "--every %s is no time to wait", c.Duration("every"))
			}
			th := pipeline.Thresholds{
				WarnBytes: c.Int64("warn-bytes"), CriticalBytes: c.Int64("critical-bytes"),
				WarnSeconds: c.Duration("warn-lag").Seconds(), CriticalSeconds: c.Duration("critical-lag").Seconds(),
			}
			return watchStatus(c.Context, s, c.App.Writer, th, c.Bool("watch"), c.Duration("every"))
		},
	}
}

func watchStatus(ctx context.Context, s *session, out io.Writer, th pipeline.Thresholds, again bool, every time.Duration) error {
	for {
		st, err := pipeline.ReadStatus(ctx, s.Config, th)
		if err != nil {
			if again && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if s.json && again {
			err = json.NewEncoder(out).Encode(st)
		} else if s.json {
			err = writeJSON(out, st)
		} else {
			err = writeStatus(out, st)
		}
		if err != nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
			fmt.Fprintln(out)
		}
	}
}

func writeStatus(w io.Writer, st pipeline.Status) error {
	var b strings.Builder
	if st.Known || st.Level != pipeline.Unknown {
		fmt.Fprintf(&b, "run %s: %s\n", st.Run, st.Level)
	} else {
		fmt.Fprintf(&b, "run %s: the target has no journal of this run: it was never begun there, or is finalized\n", st.Run)
	}
	for _, s := range st.Stages {
		mark := map[string]string{"done": "✓", "begun": "▸", "pending": " "}[s.State]
		count := ""
		if s.State == "begun" {
			count = fmt.Sprintf("   %d of %d steps", s.Done, s.Steps)
		}
		fmt.Fprintf(&b, "%s %-10s %s%s\n", mark, s.ID, s.Title, count)
	}
	if len(st.Tables) > 0 {
		fmt.Fprintf(&b, "tables     %d ready of %d", st.States["ready"], len(st.Tables))
		for _, state := range []string{"copied", "copying", "init"} {
			if n := st.States[state]; n > 0 {
				fmt.Fprintf(&b, ", %d %s", n, state)
			}
		}
		fmt.Fprintf(&b, "   %s", plan.HumanBytesOf(st.Bytes, max(st.Total, st.Bytes)))
		built, toBuild := 0, 0
		for _, t := range st.Tables {
			built, toBuild = built+t.Built, toBuild+t.ToBuild
		}
		if built < toBuild {
			fmt.Fprintf(&b, "   %d/%d indexes and statistics", built, toBuild)
		}
		b.WriteString("\n")
	}
	if l := st.Lag; l != nil {
		fmt.Fprintf(&b, "lag        %s, %.1f s", plan.HumanBytes(l.Bytes), l.Seconds)
		if st.CatchUp != nil {
			fmt.Fprintf(&b, "   gone in about %s at this rate", plan.HumanDuration(time.Duration(*st.CatchUp*float64(time.Second))))
		}
		b.WriteString("\n")
		fmt.Fprintf(&b, "WAL kept   %s by our slot, %s/s", plan.HumanBytes(l.Retained), signed(st.Growth))
		if l.Status != "" {
			fmt.Fprintf(&b, ", %s", l.Status)
		}
		b.WriteString("\n")
	}
	if k := st.Kept; k != nil && k.Limit > 0 {
		fmt.Fprintf(&b, "WAL limit  %s\n", k)
	}
	if st.Fenced {
		b.WriteString("source     fenced: it takes no writes\n")
	}
	if st.TargetFenced {
		b.WriteString("target     fenced: it takes no writes\n")
	}
	if st.Truth != "" && (st.Fenced || st.TargetFenced) {
		fmt.Fprintf(&b, "truth      the %s: it takes the writes, or will\n", st.Truth)
	}
	if st.Held != nil {
		fmt.Fprintf(&b, "held       %s\n", st.Held)
	}
	if st.Witness != nil {
		fmt.Fprintf(&b, "old WAL    %s\n", st.Witness)
	}
	if st.WayBack != nil {
		writeWayBack(&b, *st.WayBack)
	}
	for _, p := range st.Problems {
		fmt.Fprintf(&b, "%-10s %s\n", p.Level, p.Text)
		if p.Mend != "" {
			fmt.Fprintf(&b, "           mend: %s\n", p.Mend)
		}
	}
	fmt.Fprintf(&b, "next       %s\n", st.Next())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeWayBack says whether pgleap rollback is possible, and what it costs to keep it so.
func writeWayBack(b *strings.Builder, w pipeline.WayBackStatus) {
	if l := w.Lag; l != nil {
		fmt.Fprintf(b, "lag back   %s, %.1f s: the old server behind the new one\n", plan.HumanBytes(l.Bytes), l.Seconds)
		fmt.Fprintf(b, "WAL kept   %s by the target for the way back, %s/s", plan.HumanBytes(l.Retained), signed(w.Growth))
		if l.Status != "" {
			fmt.Fprintf(b, ", %s", l.Status)
		}
		if l.Safe != nil {
			fmt.Fprintf(b, ", %s more until it is thrown away", plan.HumanBytes(*l.Safe))
		}
		b.WriteString("\n")
	}
	if w.Possible {
		b.WriteString("way back   open: pgleap rollback is possible, until pgleap finalize\n")
		return
	}
	for i, why := range w.Why {
		line, _, _ := strings.Cut(why, "\n")
		fmt.Fprintf(b, "%-10s %s\n", []string{"way back", ""}[min(i, 1)], "closed: "+line)
	}
}

func signed(v float64) string {
	if v < 0 {
		return "-" + plan.HumanBytes(int64(-v))
	}
	return "+" + plan.HumanBytes(int64(v))
}

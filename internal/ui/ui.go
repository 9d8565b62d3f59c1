// Package ui shows a run to the operator: as text with a progress bar, or as JSON lines. It is the only
// package that writes to a terminal, and it owns all of stderr while a run goes on: the log goes through it
// too, so that no log line lands in the middle of the bar.
package ui

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"pgleap/plan"
)

// Printer shows the events of a run. It may be used by several goroutines at a time.
type Printer interface {
	// Event shows e.
	Event(e plan.Event)
	// LogHandler returns a handler whose lines go to stderr without breaking what the printer shows there.
	// It works on after Close.
	LogHandler(level slog.Leveler) slog.Handler
	// Close takes the bar away; after a failure it is left standing where it was. Calling it again does
	// nothing.
	Close(failed bool)
}

// Options say where and how to show a run.
type Options struct {
	Stdout, Stderr io.Writer
	JSON           bool // one JSON document per event on stdout, and nothing else there
	Terminal       bool // stderr is a terminal
	NoProgress     bool // lines in place of the bar, also on a terminal
	Color          bool
}

// Detect fills Options from what the process was started with: a bar and colour for people at a terminal,
// lines for everything else. NO_COLOR, CI and TERM=dumb are heeded.
func Detect(stdout, stderr *os.File, getenv func(string) string) Options {
	out, err := isTerminal(stdout), isTerminal(stderr)
	dumb := getenv("TERM") == "dumb"
	ci := getenv("CI") != "" && getenv("CI") != "false"
	return Options{
		Stdout:     stdout,
		Stderr:     stderr,
		Terminal:   err && !dumb,
		NoProgress: ci,
		Color:      out && err && !dumb && !ci && getenv("NO_COLOR") == "",
	}
}

// New returns the printer that o asks for.
func New(o Options) Printer {
	if o.JSON {
		return newJSONPrinter(o)
	}
	return newTextPrinter(o)
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

func textHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

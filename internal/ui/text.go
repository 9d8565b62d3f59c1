package ui

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"pgleap/plan"
)

// quiet is how long nothing new is said, away from a terminal, about something that goes on.
const quiet = 30 * time.Second

// textPrinter writes what is done to stdout, and what goes on to stderr.
type textPrinter struct {
	mu     sync.Mutex
	stdout io.Writer
	stderr io.Writer
	color  bool
	bar    bool // what goes on is shown in one line that is painted over; else line by line
	closed bool

	live    live
	meter   meter
	stage   plan.StageID // that is going on, "" between stages
	steps   int          // done in this stage
	last    plan.Event   // the newest progress
	waiting string       // the kind of waiting that was said last

	// When each was last said as a line.
	progressAt, waitingAt time.Time
}

func newTextPrinter(o Options) *textPrinter {
	return &textPrinter{
		stdout: o.Stdout, stderr: o.Stderr, color: o.Color, bar: o.Terminal && !o.NoProgress,
		live: live{w: o.Stderr, share: -1},
	}
}

// Event shows e.
func (p *textPrinter) Event(e plan.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	switch e.Kind {
	case plan.EventStage:
		p.begin(e)
	case plan.EventStep:
		p.step(e)
	case plan.EventSkipped:
		p.skipped(e)
	case plan.EventProgress:
		p.progress(e)
	case plan.EventWaiting:
		p.wait(e)
	case plan.EventDone:
		p.end()
		p.line(p.stdout, done, e)
	case plan.EventReleased:
		p.line(p.stdout, released, e)
	case plan.EventUndone:
		p.undone(e)
	default:
		p.say("! " + plan.OneLine(e.Message))
	}
}

func (p *textPrinter) begin(e plan.Event) {
	p.end()
	p.stage = e.Stage
	if p.bar {
		p.live.show(p.label(), plan.OneLine(e.Message), -1)
		return
	}
	p.line(p.stderr, goesOn, e)
}

// end forgets the stage that went on.
func (p *textPrinter) end() {
	p.live.clear()
	p.stage, p.steps, p.meter, p.last, p.waiting = "", 0, meter{}, plan.Event{}, ""
	p.progressAt, p.waitingAt = time.Time{}, time.Time{}
}

func (p *textPrinter) step(e plan.Event) {
	p.enter(e)
	p.steps++
	p.waiting = ""
	if !p.bar {
		if e.Data["batch"] == nil { // a batch tells its progress as a whole
			p.say("  " + stepText(e))
		}
		return
	}
	if p.live.share < 0 {
		p.live.show(p.label(), steps(p.steps)+", "+stepText(e), -1)
	}
}

func stepText(e plan.Event) string {
	s := plan.OneLine(string(e.Step))
	if e.Message != "" {
		s += ": " + plan.OneLine(e.Message)
	}
	if e.Seconds > 0 {
		s += "  " + short(seconds(e.Seconds))
	}
	return s
}

// skipped says it of stages; of steps only the running line tells.
func (p *textPrinter) skipped(e plan.Event) {
	if e.Step != "" {
		p.enter(e)
		p.steps++
		return
	}
	p.end()
	e.Data = map[string]any{"note": "done already"}
	p.line(p.stdout, done, e)
}

// enter notes the stage of an event whose stage was not announced.
func (p *textPrinter) enter(e plan.Event) {
	if e.Stage != "" {
		p.stage = e.Stage
	}
}

func (p *textPrinter) progress(e plan.Event) {
	p.enter(e)
	e.Bytes, e.Total = max(0, e.Bytes), max(0, e.Total)
	p.last = e
	if e.Total > 0 {
		p.meter.read(e.Time, e.Bytes, e.Total)
	}
	share := shareOf(e)
	text := progressText(e, p.meter)
	if p.bar {
		p.live.show(p.label(), text, share)
		return
	}
	if e.Time.Sub(p.progressAt) >= quiet {
		p.progressAt = e.Time
		if share >= 0 {
			text = fmt.Sprintf("%.0f%%  %s", 100*share, text)
		}
		p.say(p.label() + "  " + text)
	}
}

// wait says at once that something new is waited for. Its age, which changes all the time, is no news.
func (p *textPrinter) wait(e plan.Event) {
	p.enter(e)
	text := plan.OneLine(e.Message)
	if p.bar {
		p.live.show(p.label(), text, -1)
		return
	}
	kind := fmt.Sprint(withoutDigits(text), e.Data["pid"])
	if kind == p.waiting && e.Time.Sub(p.waitingAt) < quiet {
		return
	}
	p.waiting, p.waitingAt = kind, e.Time
	p.say("  " + text)
}

func (p *textPrinter) undone(e plan.Event) {
	if e.Step != "" {
		p.say("  " + takenBack.sign + " " + stepText(e))
		return
	}
	p.end()
	p.line(p.stdout, takenBack, e)
}

// Close ends the display. After a failure the last numbers stay on the screen.
func (p *textPrinter) Close(failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	defer func() { p.bar = false }() // what still comes is written as lines
	if !failed {
		p.end()
		return
	}
	p.live.leave()
	if p.stage != "" {
		e := plan.Event{Stage: p.stage, Message: "stopped"}
		if text := progressText(p.last, meter{}); text != "" && !p.bar {
			e.Message = "stopped at " + text
		}
		p.line(p.stderr, failure, e)
	}
	p.end()
}

// LogHandler writes the log between the paintings of the live line.
func (p *textPrinter) LogHandler(level slog.Leveler) slog.Handler {
	return textHandler(logWriter{p}, level)
}

type logWriter struct{ p *textPrinter }

func (w logWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.live.hide()
	defer w.p.live.paint()
	return w.p.stderr.Write(b)
}

// line writes a line about a stage.
func (p *textPrinter) line(w io.Writer, m mark, e plan.Event) {
	s := stageLine(m.sign, e)
	if p.color && m.colour != "" {
		s = m.colour + m.sign + "\x1b[0m" + strings.TrimPrefix(s, m.sign)
	}
	p.write(w, s)
}

// say writes a line about what goes on.
func (p *textPrinter) say(s string) { p.write(p.stderr, s) }

// write puts a line above the live one.
func (p *textPrinter) write(w io.Writer, s string) {
	p.live.hide()
	_, _ = io.WriteString(w, s+"\n") // where the terminal is gone there is nobody left to tell
	p.live.paint()
}

func (p *textPrinter) label() string { return "▸ " + padTo(string(p.stage), stageWidth) }

// mark leads a line about a stage.
type mark struct{ sign, colour string }

var (
	goesOn    = mark{"▸", ""}
	done      = mark{"✓", "\x1b[32m"}
	released  = mark{"→", "\x1b[32m"}
	takenBack = mark{"↩", "\x1b[33m"}
	failure   = mark{"✗", "\x1b[31m"}
)

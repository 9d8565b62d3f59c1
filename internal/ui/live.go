package ui

import (
	"io"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// live is the bottom line of a terminal: a bar while there is something to measure, else a line of text. It
// is taken away before anything else is written and painted again after it. Its zero line is empty.
type live struct {
	w     io.Writer
	label string // such as "▸ subscribe"
	text  string
	share float64 // of the bar; below 0 there is none
	bar   *progressbar.ProgressBar
}

// The bar counts in ten-thousandths, not in bytes: a total that was estimated too low, or is 0, would make
// the library fail for good, and a bar that reaches its end cannot be moved any more.
const (
	barMax   = 10_000
	barWidth = 20
)

var barTheme = progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}

// show replaces the line.
func (l *live) show(label, text string, share float64) {
	l.label, l.text, l.share = label, text, share
	if share < 0 {
		l.drop()
	}
	l.paint()
}

// hide erases the line from the screen; paint brings it back.
func (l *live) hide() {
	if l.label != "" {
		_, _ = io.WriteString(l.w, "\r\x1b[2K")
	}
}

func (l *live) paint() {
	switch {
	case l.label == "":
	case l.share >= 0:
		l.paintBar()
	default:
		_, _ = io.WriteString(l.w, "\r"+cut(strings.TrimRight(l.label+"  "+l.text, " "), l.width())+"\x1b[0K")
	}
}

func (l *live) paintBar() {
	if l.bar == nil {
		l.bar = progressbar.NewOptions64(barMax,
			progressbar.OptionSetWriter(l.w), progressbar.OptionSetDescription(l.label), progressbar.OptionSetWidth(barWidth), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	}
	theme := barTheme
	theme.BarEnd = "  " + cut(l.text, l.room())
	progressbar.OptionSetTheme(theme)(l.bar)
	_ = l.bar.Set64(min(barMax-1, max(0, int64(l.share*barMax))))
	l.bar.Describe(l.label)
}

// clear ends the line: nothing of it stays on the screen.
func (l *live) clear() {
	l.hide()
	l.drop()
	l.label = ""
}

// leave ends the line and lets it stand, as far as it came.
func (l *live) leave() {
	if l.label != "" {
		_, _ = io.WriteString(l.w, "\n")
	}
	l.drop()
	l.label = ""
}

// drop gives the bar up. Exit, not Finish or Close: those fill it to 100 %.
func (l *live) drop() {
	if l.bar != nil {
		_ = l.bar.Exit()
		l.bar = nil
	}
}

// width is the terminal's, 0 where it is not known.
func (l *live) width() int {
	f, ok := l.w.(*os.File)
	if !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return max(0, w-1)
}

// room is what is left for the text beside the label, the percentage and the bar, which gives way first.
func (l *live) room() int {
	if w := l.width(); w > 0 {
		return max(1, w-len([]rune(l.label))-12)
	}
	return 0
}

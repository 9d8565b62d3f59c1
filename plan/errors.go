package plan

import (
	"errors"
	"fmt"
	"strings"
)

// StepError is the error people see: where it happened, what was sent, why it failed, what to do.
type StepError struct {
	Stage    StageID
	Step     StepID
	On       Side
	Object   string // the object that the failing statement is about, where it is known
	SQL      string // the failing statement alone
	Position int    // 1-based character in SQL, 0 = unknown
	Err      error
	Hint     string
}

// Error renders all of it; the statement is cut around the position.
func (e *StepError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, step %s on the %s", e.Stage, e.Step, e.On)
	if e.Object != "" {
		fmt.Fprintf(&b, ", %s", e.Object)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.SQL != "" {
		b.WriteString("\n" + Caret(e.SQL, e.Position))
	}
	if e.Hint != "" {
		b.WriteString("\nfix: " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Caret shows the line of sql that holds the 1-based character position, with a caret under it; without a
// position it shows the first lines.
func Caret(sql string, position int) string {
	lines := strings.Split(strings.TrimRight(sql, "\n"), "\n")
	if position <= 0 {
		if len(lines) > 6 {
			lines = append(lines[:6], "…")
		}
		return "    " + strings.Join(lines, "\n    ")
	}
	at := position - 1
	for i, l := range lines {
		n := len([]rune(l)) + 1
		if at < n {
			out := ""
			if i > 0 {
				out = "    " + lines[i-1] + "\n"
			}
			return out + "    " + l + "\n    " + strings.Repeat(" ", at) + "^"
		}
		at -= n
	}
	return Caret(sql, 0)
}

// ErrKind classifies an error for the exit code. The cmd layer has the one switch.
type ErrKind string

// The kinds of failures the exit-code table knows.
const (
	KindBlocked     ErrKind = "blocked"      // a check blocks
	KindDrift       ErrKind = "drift"        // the servers no longer match the plan
	KindNotReady    ErrKind = "not ready"    // not ready for cutover
	KindNotSwitched ErrKind = "not switched" // cutover undone, the source is writable
	KindPastReturn  ErrKind = "past return"  // stopped after the point of no return
	KindDiffers     ErrKind = "differs"      // verification found differences
	KindLocked      ErrKind = "locked"       // another run holds the lock
	KindInterrupted ErrKind = "interrupted"  // stopped by the operator
	KindUsage       ErrKind = "usage"        // wrong flags
)

// Failure is an error with a kind and the way to mend it.
type Failure struct {
	Kind ErrKind
	Err  error
	Fix  string
}

// Error returns the cause and the fix.
func (f *Failure) Error() string {
	if f.Fix == "" {
		return f.Err.Error()
	}
	return f.Err.Error() + "\nfix: " + f.Fix
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure.
func Fail(kind ErrKind, fix, format string, args ...any) error {
	return &Failure{Kind: kind, Err: fmt.Errorf(format, args...), Fix: fix}
}

// KindOf returns the kind of err, or "" for an unexpected failure.
func KindOf(err error) ErrKind {
	var f *Failure
	if errors.As(err, &f) {
		return f.Kind
	}
	return ""
}

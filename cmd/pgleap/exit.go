package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pgleap/internal/pipeline"
	"pgleap/plan"
)

// The exit codes. "I do not know" is never 0.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitBlocked     = 3
	exitDrift       = 4
	exitNotReady    = 5
	exitNotSwitched = 6
	exitPastReturn  = 7
	exitDiffers     = 8
	exitRehearsal   = 9
	exitLocked      = 11
	exitInterrupted = 130
)

// exitMeanings is the table that every --help repeats.
var exitMeanings = []struct {
	code    int
	meaning string
}{
	{exitOK, "done, or nothing to do"},
	{exitUnexpected, "unexpected failure"},
	{exitUsage, "usage"},
	{exitBlocked, "a check blocks"},
	{exitDrift, "drift: the servers no longer match the plan"},
	{exitNotReady, "not ready for cutover"},
	{exitNotSwitched, "cutover not completed; the SOURCE IS WRITABLE AGAIN (rollback: the target)"},
	{exitPastReturn, "stopped after the point of no return: the target is the truth (rollback: the source); read the message"},
	{exitDiffers, "verification found differences"},
	{exitRehearsal, "rehearsal: an assertion failed"},
	{exitLocked, "another run holds the lock"},
	{exitInterrupted, "interrupted; nothing half done that the same command will not finish"},
}

func exitText(codes ...int) string {
	text := "EXIT CODES:\n"
	for _, m := range exitMeanings {
		for _, c := range codes {
			if c == m.code {
				text += fmt.Sprintf("   %-4d %s\n", m.code, m.meaning)
			}
		}
	}
	return text
}

// errRehearsal is a verdict with an assertion that does not hold; it was printed already.
var errRehearsal = errors.New("the rehearsal failed")

// exitCode is the one switch from errors to exit codes.
func exitCode(err error) int {
	var blocked *pipeline.BlockedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &blocked):
		return exitBlocked
	case errors.Is(err, errRehearsal):
		return exitRehearsal
	}
	switch plan.KindOf(err) {
	case plan.KindUsage:
		return exitUsage
	case plan.KindBlocked:
		return exitBlocked
	case plan.KindDrift:
		return exitDrift
	case plan.KindNotReady:
		return exitNotReady
	case plan.KindNotSwitched:
		return exitNotSwitched
	case plan.KindPastReturn:
		return exitPastReturn
	case plan.KindDiffers:
		return exitDiffers
	case plan.KindLocked:
		return exitLocked
	case plan.KindInterrupted:
		return exitInterrupted
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return exitUnexpected
}

// report prints what has not been printed and returns the exit code.
func report(err error) int {
	code := exitCode(err)
	if err != nil && !errors.Is(err, errRehearsal) && !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, errorText(err))
	}
	return code
}

// errReported marks an error whose text the operator has seen already.
var errReported = errors.New("reported")

type reported struct{ error }

func (r reported) Unwrap() error        { return r.error }
func (r reported) Is(target error) bool { return target == errReported }

func errorText(err error) string {
	if errors.Is(err, context.Canceled) && plan.KindOf(err) == "" {
		return "interrupted. Go on with the same command"
	}
	return "pgleap: " + err.Error()
}

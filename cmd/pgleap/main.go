// Pgleap moves a live PostgreSQL database to a new major version while its users notice nothing.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "0.1.0"

func main() { os.Exit(realMain(os.Args)) }

// realMain runs the command line and returns the exit code. The first interrupt asks for a stop at the next
// safe point, the second ends the process at once.
func realMain(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away must not kill a walk half way
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "stopping at the next safe point: a switch is undone, one that is past its point of no return is finished. Again: stop at once")
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "stopped at once. Repair, and go on, with the same command: "+repairOf(args))
		os.Exit(exitInterrupted)
	}()
	return report(newApp().RunContext(ctx, args))
}

// repairOf names the verb that was running; addresses stay out: they may hold a password.
func repairOf(args []string) string {
	if len(args) > 1 {
		return "pgleap " + args[1] + " …"
	}
	return "pgleap"
}

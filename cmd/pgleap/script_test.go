package main

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts covers what needs no server. The scripts have one command of their own: usage runs pgleap and
// wants exit code 2, nothing on stdout, and leaves stderr to be looked at.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec("pgleap", args...)
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
					ts.Fatalf("pgleap %q: want exit %d, got %v", args, exitUsage, err)
				}
				if out := ts.ReadFile("stdout"); out != "" {
					ts.Fatalf("pgleap %q writes to stdout: %s", args, out)
				}
			},
		},
	})
}

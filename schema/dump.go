package schema

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// Definitions are what pg_dump wrote.
type Definitions struct {
	Entries []Entry
	Notes   []string // what pg_dump warned of, line by line
}

// Dump asks pg_dump for the definitions of the selected part of the source. Schema pgleap is never part of it,
// nor are publications and subscriptions, nor passwords of user mappings. The password goes to pg_dump through its environment.
func Dump(ctx context.Context, p Program, source pg.Address, sel plan.Selection) (Definitions, error) {
	env := dumpEnv(source)
	args := append(command(p.Command, env), arguments(sel)...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	// An interrupted pg_dump ends its transaction, and a container's client hands the signal on; a killed one
	// would leave its locks to the server's patience.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	said := strings.TrimSpace(source.Redact(stderr.String()))
	if cause := ctx.Err(); cause != nil {
		return Definitions{}, fmt.Errorf("dump the definitions of %s: %w", source, cause)
	}
	if err != nil {
		return Definitions{}, fmt.Errorf("dump the definitions of %s with %s: %w\n%s", source, p, err, said)
	}
	entries, err := Parse(&stdout)
	if err != nil {
		return Definitions{}, fmt.Errorf("read the output of %s: %w", p, err)
	}
	d := Definitions{Entries: withoutPasswords(entries)}
	if said != "" {
		d.Notes = strings.Split(said, "\n")
	}
	return d, nil
}

// dumpEnv is the source's environment with strings written so that tokens can read them, whatever the
// database's own standard_conforming_strings.
func dumpEnv(source pg.Address) []string {
	env := source.Env()
	for i := len(env) - 1; i >= 0; i-- { // the last one counts
		if strings.HasPrefix(env[i], "PGOPTIONS=") {
			env[i] += " -c standard_conforming_strings=on"
			return env
		}
	}
	return append(env, "PGOPTIONS=-c standard_conforming_strings=on")
}

// command lets a container have the variables that libpq reads: its client does not hand on the environment by
// itself. Only names stand in the arguments, never values.
func command(words, env []string) []string {
	engines := []string{"docker", "podman", "nerdctl"}
	if len(words) < 2 || words[1] != "run" || !slices.Contains(engines, filepath.Base(words[0])) {
		return slices.Clone(words)
	}
	out := []string{words[0], words[1]}
	seen := map[string]bool{}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "PG") && !seen[name] {
			seen[name] = true
			out = append(out, "-e", name)
		}
	}
	return append(out, words[2:]...)
}

// arguments are pg_dump's own.
func arguments(sel plan.Selection) []string {
	args := []string{
		"--schema-only", "--no-publications", "--no-subscriptions", "--no-password", "--encoding=UTF8",
		// Behind somebody's ACCESS EXCLUSIVE lock it would wait for ever without a word; the error names the table.
		"--lock-wait-timeout=60000",
		"--exclude-schema=" + pattern(plan.Name{Schema: "pgleap"}),
	}
	for _, s := range sel.Schemas {
		args = append(args, "--exclude-schema="+pattern(plan.Name{Schema: s}))
	}
	for _, n := range sel.Excluded {
		args = append(args, "--exclude-table="+pattern(n))
	}
	return args
}

// pattern is a pg_dump pattern that fits exactly one name. Between double quotes every character but the quote
// stands for itself (processSQLNamePattern escapes what a regular expression would take as its own).
func pattern(n plan.Name) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	if n.Name == "" {
		return quote(n.Schema)
	}
	return quote(n.Schema) + "." + quote(n.Name)
}

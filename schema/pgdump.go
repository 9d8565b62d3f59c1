package schema

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"pgleap/internal/pgserver"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// Program is a pg_dump that was started once to ask for its version.
type Program struct {
	Command []string // the program and what stands before its own arguments
	Major   int
	Version string // "18.4"
}

// String returns the command line and the version.
func (p Program) String() string { return strings.Join(p.Command, " ") + " (" + p.Version + ")" }

// CommandVariable is the environment variable that names a pg_dump, in the form of Find's explicit.
const CommandVariable = "PGLEAP_PG_DUMP"

// Find returns the newest pg_dump whose major is at least atLeast: pg_dump refuses a server newer than itself.
// explicit is a command line, such as "docker run --rm -i --network host postgres:18 pg_dump"; when it or the
// environment variable names one, no other is looked for. The error is a *plan.Failure that says what was
// found and how to get one.
func Find(ctx context.Context, explicit string, atLeast int) (Program, error) {
	if explicit == "" {
		explicit = os.Getenv(CommandVariable)
	}
	if explicit != "" {
		return findNamed(ctx, explicit, atLeast)
	}
	var best Program
	var found []string
	for _, candidate := range candidates() {
		p, err := inspect(ctx, []string{candidate})
		if err != nil {
			continue // a broken installation is as good as none
		}
		found = append(found, p.String())
		if p.Major >= atLeast && newer(p.Version, best.Version) {
			best = p
		}
	}
	if best.Command == nil {
		return Program{}, missing(atLeast, found)
	}
	return best, nil
}

// findNamed takes the command line that the operator gave, or says why it cannot be used.
func findNamed(ctx context.Context, line string, atLeast int) (Program, error) {
	command, err := splitCommand(line)
	if err != nil {
		return Program{}, fmt.Errorf("read the pg_dump command %q: %w", line, err)
	}
	p, err := inspect(ctx, command)
	if err != nil {
		return Program{}, plan.Fail(plan.KindBlocked, ways(atLeast), "start %q: %w", line, err)
	}
	if p.Major < atLeast {
		return Program{}, missing(atLeast, []string{p.String()})
	}
	return p, nil
}

func missing(atLeast int, found []string) error {
	there := "none on this machine"
	if len(found) > 0 {
		there = "found: " + strings.Join(found, ", ")
	}
	return plan.Fail(plan.KindBlocked, ways(atLeast), "no pg_dump of PostgreSQL %d or newer (%s)", atLeast, there)
}

// ways tells how to get a pg_dump that is new enough.
func ways(atLeast int) string {
	n := max(atLeast, pgver.Newest)
	return fmt.Sprintf(`get a newer one, or name it with --pg-dump:
    Debian, Ubuntu   apt-get install postgresql-client-%[1]d   (from the PostgreSQL project's repository, apt.postgresql.org)
    RHEL and its kin dnf install postgresql%[1]d               (from the PostgreSQL project's repository, yum.postgresql.org)
    macOS            brew install postgresql@%[1]d
    a container      --pg-dump 'docker run --rm -i --network host postgres:%[1]d pg_dump'`, n)
}

// candidates are the places where a pg_dump may be, each named once.
func candidates() []string {
	var paths []string
	if p, err := exec.LookPath("pg_dump"); err == nil {
		paths = append(paths, p)
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin/pg_dump",
		"/usr/pgsql-*/bin/pg_dump",
		"/opt/homebrew/opt/postgresql@*/bin/pg_dump",
		"/opt/homebrew/opt/libpq/bin/pg_dump",
		"/usr/local/opt/postgresql@*/bin/pg_dump",
		"/usr/local/opt/libpq/bin/pg_dump",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin/pg_dump",
	} {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		paths = append(paths, matches...)
	}
	for _, folder := range pgserver.ClientFolders() {
		paths = append(paths, filepath.Join(folder, "pg_dump"))
	}
	return paths
}

var versionLine = regexp.MustCompile(`^pg_dump \(PostgreSQL\) ((\d+)[.\w]*)`)

// inspect asks the program itself: the name of a folder proves nothing.
func inspect(ctx context.Context, command []string) (Program, error) {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], "--version")...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			return Program{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return Program{}, err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return Program{}, fmt.Errorf("not pg_dump: --version answers %q", strings.TrimSpace(string(out)))
	}
	major, err := strconv.Atoi(string(m[2]))
	return Program{Command: command, Major: major, Version: string(m[1])}, err
}

// newer compares "18.4" with "18.10"; a beta is older than every release of its major.
func newer(a, b string) bool {
	aMajor, aMinor := numbers(a)
	bMajor, bMinor := numbers(b)
	return aMajor > bMajor || aMajor == bMajor && aMinor > bMinor
}

// numbers returns 18 and 4 for "18.4", and 18 and -1 for "18beta1".
func numbers(version string) (major, minor int) {
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return major, -1
	}
	return major, minor
}

// splitCommand splits a command line at blanks; ' and " hold blanks together, a backslash outside of ' takes
// the next character as it is. There is no shell.
func splitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			inWord = false
			word.Reset()
			continue
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '\\' && quote != '\'' && i+1 < len(runes):
			i++
			word.WriteRune(runes[i])
		default:
			word.WriteRune(c)
		}
		inWord = true
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("it is empty")
	}
	return words, nil
}

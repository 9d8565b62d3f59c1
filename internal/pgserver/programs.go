package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Programs are the server programs of one major.
type Programs struct {
	Major   int
	Version string // "13.23"
	Bin     string // the folder of postgres and initdb, absolute
}

// FolderVariable is the environment variable that names a folder of server
// programs, in the same forms as Options.Folder.
const FolderVariable = "PGLEAP_SERVERS"

// MissingError says that no programs of a major were found.
type MissingError struct {
	Major int
	Found []int // the majors that were found, in order
}

// Error names the major, what there is instead, and how to get it.
func (e *MissingError) Error() string {
	found := "no others"
	if len(e.Found) > 0 {
		found = strings.Trim(fmt.Sprint(e.Found), "[]")
	}
	return fmt.Sprintf("server programs of PostgreSQL %d are not on this machine (found: %s): run `make servers`, or name their folder in %s",
		e.Major, found, FolderVariable)
}

// Find returns the programs of every major that is found. An earlier place
// wins over a later one: the explicit folder; the folder in the environment
// variable PGLEAP_SERVERS; the project's own .servers; the places where
// distributions, PGDG and Homebrew install. Within one place the newest minor
// wins. It is an error if a folder that was named holds no programs.
func Find(explicit string) (map[int]Programs, error) {
	found := map[int]Programs{}
	for _, named := range []string{explicit, os.Getenv(FolderVariable)} {
		if named == "" {
			continue
		}
		here := in(folders(named))
		if len(here) == 0 {
			return nil, fmt.Errorf("find server programs: none in %s: it must hold postgres and initdb, or <major>/bin folders", named)
		}
		merge(found, here)
	}
	if root, ok := projectRoot(); ok {
		merge(found, in(folders(filepath.Join(root, ".servers"))))
	}
	merge(found, in(installed()))
	return found, nil
}

// Lookup returns the programs of one major, searched for as Find does. The
// error is a *MissingError if there are none.
func Lookup(explicit string, major int) (Programs, error) {
	found, err := Find(explicit)
	if err != nil {
		return Programs{}, err
	}
	programs, ok := found[major]
	if !ok {
		missing := &MissingError{Major: major}
		for m := range found {
			missing.Found = append(missing.Found, m)
		}
		slices.Sort(missing.Found)
		return Programs{}, missing
	}
	return programs, nil
}

// ClientFolders returns the folders in which `make servers` leaves client
// programs such as pg_dump, newest major first. They may be started by any
// user, but only in place: they are scripts that name their neighbours.
func ClientFolders() []string {
	root, ok := projectRoot()
	if !ok {
		return nil
	}
	found := glob(filepath.Join(root, ".servers", "client", "*", "bin"))
	slices.SortFunc(found, func(a, b string) int {
		return major(filepath.Base(filepath.Dir(b))) - major(filepath.Base(filepath.Dir(a)))
	})
	return found
}

// projectRoot is the nearest folder, from the working directory upwards, with
// a .servers folder or a go.mod.
func projectRoot() (string, bool) {
	folder, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		for _, mark := range []string{".servers", "go.mod"} {
			if _, err := os.Stat(filepath.Join(folder, mark)); err == nil {
				return folder, true
			}
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", false
		}
		folder = parent
	}
}

// folders are the places below a named folder in which programs may be.
func folders(named string) []string {
	return append([]string{named, filepath.Join(named, "bin")}, glob(filepath.Join(named, "*", "bin"))...)
}

func installed() []string {
	var found []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	} {
		found = append(found, glob(pattern)...)
	}
	return found
}

// in returns the newest programs of every major among the folders.
func in(folders []string) map[int]Programs {
	found := map[int]Programs{}
	for _, folder := range folders {
		programs, ok := inspect(folder)
		if !ok {
			continue
		}
		if known, ok := found[programs.Major]; !ok || minor(programs.Version) > minor(known.Version) {
			found[programs.Major] = programs
		}
	}
	return found
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)(\.\d+|[a-z]+\d+)?`)

// inspect asks the programs themselves: the name of a folder proves nothing.
// Programs that do not start here are as good as absent.
func inspect(folder string) (Programs, bool) {
	bin, err := filepath.Abs(folder)
	if err != nil {
		return Programs{}, false
	}
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		return Programs{}, false
	}
	line, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return Programs{}, false
	}
	match := versionLine.FindSubmatch(line)
	if match == nil {
		return Programs{}, false
	}
	return Programs{Major: major(string(match[1])), Version: string(match[1]) + string(match[2]), Bin: bin}, true
}

// minor is the 23 of "13.23" and -1 for a beta.
func minor(version string) int {
	_, after, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(after)
	if err != nil {
		return -1
	}
	return n
}

// major is 0 if the text is no number.
func major(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// merge adds to found the majors it lacks.
func merge(found, more map[int]Programs) {
	for m, programs := range more {
		if _, ok := found[m]; !ok {
			found[m] = programs
		}
	}
}

// glob has no error to return: the patterns here are well formed.
func glob(pattern string) []string {
	found, _ := filepath.Glob(pattern)
	return found
}

package pooler

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"pgleap/plan"
)

// Values are where an entry points. In a file "" is a value that is not given there: PgBouncer's default counts,
// which is a Unix socket, 5432, and the entry's name.
type Values struct {
	Host   string `json:"host"`
	Port   string `json:"port"`
	DBName string `json:"dbname"`
}

// Filled are the values that PgBouncer takes for an entry of that name: "" of a file is a default. The host's is a Unix
// socket, which PgBouncer shows as "", too.
func (v Values) Filled(name string) Values {
	return Values{Host: v.Host, Port: cmp.Or(v.Port, "5432"), DBName: cmp.Or(v.DBName, name)}
}

// String is such as 10.0.0.5:5432/shop.
func (v Values) String() string { return v.Host + ":" + v.Port + "/" + v.DBName }

// File is PgBouncer's configuration file. Of it only host, port and dbname of an entry are changed, in place of the
// whole file at once. Beforehand they are remembered in a file beside it, so that anybody can put them back.
type File struct {
	path   string // of the file itself, not of a symbolic link
	memory string
	run    string
}

// OpenFile finds the configuration file, for the run of that name. It is read anew for everything that is done.
func OpenFile(path, run string) (*File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	f := &File{path: real, memory: real + ".pgleap_" + run, run: run}
	if err == nil {
		_, err = f.read()
	}
	if err != nil {
		return nil, plan.Fail(plan.KindUsage, "see that --pgbouncer-config names PgBouncer's own file on this machine, and that this user may read it", "PgBouncer's configuration: %w", err)
	}
	return f, nil
}

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Entry returns where the entry points.
func (f *File) Entry(name string) (Values, error) {
	text, err := f.read()
	if err != nil {
		return Values{}, f.failed(err)
	}
	v, _, err := f.find(text, name)
	return v, err
}

// Says returns where PgBouncer takes the entry to point: Entry with the defaults filled in.
func (f *File) Says(name string) (Values, error) {
	v, err := f.Entry(name)
	return v.Filled(name), err
}

// Writable tells whether the file can be replaced, by way of a trial that leaves nothing.
func (f *File) Writable() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return f.failed(err)
	}
	temporary, err := f.temporary("", info)
	if err != nil {
		return err
	}
	return os.Remove(temporary)
}

// Point makes the entry point elsewhere. The values that it has are remembered first, unless this run has remembered
// some before. PgBouncer takes notice by RELOAD.
func (f *File) Point(name string, want Values) error { return f.put(f.Stage(name, want)) }

// Replace is Point without a memory of what the entry says now.
func (f *File) Replace(name string, want Values) error { return f.put(f.StageBack(name, want)) }

// put installs what was staged, for good.
func (f *File) put(s *Staged, err error) error {
	if err != nil {
		return err
	}
	return cmp.Or(s.Install(), f.Sync())
}

// Staged is a new file that waits beside the old one: what takes time is done before clients are made to wait.
type Staged struct {
	file      *File
	anew      func() (*Staged, error)
	temporary string      // "" if there is nothing to change
	before    os.FileInfo // of the file that it was made from
}

// Stage does all of Point but the change. It ends with Install, or with Discard.
func (f *File) Stage(name string, want Values) (*Staged, error) {
	if bad := strings.ContainsAny(want.Host+want.Port+want.DBName, "\r\n\x00"); bad {
		return nil, plan.Fail(plan.KindUsage, "name another host or database", "PgBouncer's configuration cannot hold a host or a database with a line break in it")
	}
	if err := f.remember(name); err != nil {
		return nil, err
	}
	return f.StageBack(name, want)
}

// StageBack is Stage without a memory of what the entry says now, which is no way back.
func (f *File) StageBack(name string, want Values) (*Staged, error) {
	return f.stageText(name, func(text string, value span) (string, error) {
		if has, err := valuesOf(value.of(text)); err == nil && has == want {
			return text, nil
		}
		line, err := pointed(value.of(text), want)
		if err != nil {
			return "", f.misread(name, err)
		}
		return text[:value.from] + line + text[value.to:], nil
	})
}

// stageText writes the new file; edit is told where the entry's value is.
func (f *File) stageText(name string, edit func(text string, value span) (string, error)) (*Staged, error) {
	before, err := os.Stat(f.path)
	if err != nil {
		return nil, f.failed(err)
	}
	text, err := f.read()
	if err != nil {
		return nil, f.failed(err)
	}
	s := &Staged{file: f, anew: func() (*Staged, error) { return f.stageText(name, edit) }, before: before}
	kept := cutTrials(text)
	_, value, err := f.find(kept, name)
	if err != nil {
		return nil, err
	}
	changed, err := edit(kept, value)
	if err != nil || changed == text {
		return s, err
	}
	s.temporary, err = f.temporary(changed, before)
	return s, err
}

// attempts bounds how often Install starts anew because somebody else writes.
const attempts = 5

// Install puts the new file in the old one's place; see Sync. If that one has been changed since, the change is made anew.
func (s *Staged) Install() error {
	for range attempts {
		if s.fresh() {
			if s.temporary == "" {
				return nil
			}
			return s.file.rename(s.temporary, s.file.path)
		}
		anew, err := s.Ready()
		if err != nil {
			return err
		}
		s = anew
	}
	s.Discard()
	return plan.Fail(plan.KindBlocked, "see who writes it, and run the same command again", "%s changes all the time", s.file.path)
}

// Ready leaves Install nothing to do but to put the file in its place: what was changed since is made anew.
func (s *Staged) Ready() (*Staged, error) {
	if s.fresh() {
		return s, nil
	}
	s.Discard()
	return s.anew()
}

// fresh tells whether the new file is there, and the old one as it was.
func (s *Staged) fresh() bool {
	now, err := os.Stat(s.file.path)
	if err == nil && s.temporary != "" {
		_, err = os.Stat(s.temporary)
	}
	return err == nil && same(s.before, now)
}

// Discard removes the new file. What the run remembers stays; see Forget.
func (s *Staged) Discard() {
	if s.temporary != "" {
		_ = os.Remove(s.temporary) // nobody reads it
	}
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// PutBack makes the entry point where it pointed before the run, in the file as it is now, and forgets it. If
// nothing is remembered, nothing is done.
func (f *File) PutBack(name string) error {
	v, ok, err := f.Remembered(name)
	if err != nil || !ok {
		return err
	}
	if err := f.Replace(name, v); err != nil {
		return err
	}
	return f.Forget(name)
}

func (f *File) read() (string, error) {
	text, err := os.ReadFile(f.path)
	return string(text), err
}

// temporary writes a text into a new file with the mode and the owner of the one that it shall replace.
func (f *File) temporary(text string, like os.FileInfo) (string, error) {
	path, err := f.write(text)
	if err != nil {
		return "", err
	}
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		err = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	if err = cmp.Or(err, os.Chmod(path, like.Mode().Perm())); err != nil {
		_ = os.Remove(path)
		return "", plan.Fail(plan.KindBlocked, "run pgleap as the file's owner, or let a hook do the change: --on-reroute", "%s would change its owner: %w", f.path, err)
	}
	return path, nil
}

// temporaries is the pattern of the names of temporary files.
func (f *File) temporaries() string { return ".pgleap-" + f.run + "-" + filepath.Base(f.path) + "-*" }

// Sweep takes away what an attempt that was killed has left: temporary files, and the entry of a trial.
func (f *File) Sweep(name string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(f.path), f.temporaries()))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return errors.Join(err, f.withoutTrials(name))
}

// write makes a temporary file in the folder, of mode 0600.
func (f *File) write(text string) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(f.path), f.temporaries())
	if err != nil {
		return "", f.failed(err)
	}
	_, err = t.WriteString(text)
	if err = cmp.Or(err, t.Sync()); err != nil {
		_ = t.Close()
	} else {
		err = t.Close()
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return "", f.failed(err)
	}
	return t.Name(), nil
}

// rename moves a temporary file to its place.
func (f *File) rename(temporary, path string) error {
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return f.failed(err)
	}
	return nil
}

// Sync makes sure that the file which was put in its place is there after a power failure, too.
func (f *File) Sync() error {
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return f.failed(err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return f.failed(err)
	}
	return nil
}

// failed says what to do about a file or folder that is gone or closed.
func (f *File) failed(err error) error {
	fix := "see that the file is there, and its disk is in order"
	switch folder := filepath.Dir(f.path); {
	case errors.Is(err, os.ErrNotExist):
		fix = "see who removed it: PgBouncer needs it, too"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		fix = fmt.Sprintf("let this user write %s and its folder %s, in which the new file is made, or let a hook do the change: --on-reroute", f.path, folder)
	case errors.Is(err, syscall.ENOSPC):
		fix = "make room in " + folder
	}
	return plan.Fail(plan.KindBlocked, fix, "PgBouncer's configuration %s: %w", f.path, err)
}

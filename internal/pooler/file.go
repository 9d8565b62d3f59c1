package pooler

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// String is such as 10.0.0.5:5432/shop.
func (v Values) String() string { return v.Host + ":" + v.Port + "/" + v.DBName }

// File is PgBouncer's configuration file. Of it only host, port and dbname of an entry are changed, in place of the
// whole file at once. Beforehand they are remembered in a file beside it, so that anybody can put them back.
type File struct {
	path   string // of the file itself, not of a symbolic link
	memory string
}

// OpenFile finds the configuration file, for the run of that name. It is read anew for everything that is done.
func OpenFile(path, run string) (*File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	f := &File{path: real, memory: real + ".pgleap_" + run}
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
func (f *File) Point(name string, want Values) error {
	if bad := strings.ContainsAny(want.Host+want.Port+want.DBName, "\r\n\x00"); bad {
		return plan.Fail(plan.KindUsage, "name another host or database", "PgBouncer's configuration cannot hold a host or a database with a line break in it")
	}
	if err := f.remember(name); err != nil {
		return err
	}
	return f.replace(name, want)
}

// PutBack makes the entry point where it pointed before the run, in the file as it is now, and forgets it. If
// nothing is remembered, nothing is done.
func (f *File) PutBack(name string) error {
	v, ok, err := f.Remembered(name)
	if err != nil || !ok {
		return err
	}
	if err := f.replace(name, v); err != nil {
		return err
	}
	return f.Forget(name)
}

// Remembered returns where the entry pointed before the run changed it.
func (f *File) Remembered(name string) (Values, bool, error) {
	all, err := f.remembered()
	v, ok := all[name]
	return v, ok, err
}

// Forget ends the run's memory of the entry: it is not to be put back any more.
func (f *File) Forget(name string) error {
	all, err := f.remembered()
	if err != nil {
		return err
	}
	if _, ok := all[name]; !ok {
		return nil
	}
	delete(all, name)
	return f.keep(all)
}

func (f *File) remember(name string) error {
	all, err := f.remembered()
	if err != nil {
		return err
	}
	if _, ok := all[name]; ok {
		return nil
	}
	v, err := f.Entry(name)
	if err != nil {
		return err
	}
	changed := maps.Clone(all)
	if changed == nil {
		changed = map[string]Values{}
	}
	changed[name] = v
	return f.keep(changed)
}

func (f *File) remembered() (map[string]Values, error) {
	text, err := os.ReadFile(f.memory)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all map[string]Values
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, plan.Fail(plan.KindBlocked, "put the entry back by hand, and remove that file", "what the run remembers of PgBouncer's configuration: %s: %w", f.memory, err)
	}
	return all, nil
}

// keep writes the memory, or removes an empty one.
func (f *File) keep(all map[string]Values) error {
	if len(all) == 0 {
		if err := os.Remove(f.memory); err != nil {
			return f.failed(err)
		}
		return f.syncFolder()
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	temporary, err := f.write(string(text) + "\n")
	if err != nil {
		return err
	}
	return f.install(temporary, f.memory)
}

func (f *File) read() (string, error) {
	text, err := os.ReadFile(f.path)
	return string(text), err
}

// attempts bounds how often replace starts anew because somebody else writes.
const attempts = 5

// replace changes the entry in the file as it is now.
func (f *File) replace(name string, want Values) error {
	for range attempts {
		before, err := os.Stat(f.path)
		if err != nil {
			return f.failed(err)
		}
		text, err := f.read()
		if err != nil {
			return f.failed(err)
		}
		has, value, err := f.find(text, name)
		if err != nil || has == want {
			return err
		}
		line, err := pointed(value.of(text), want)
		if err != nil {
			return f.misread(name, err)
		}
		temporary, err := f.temporary(text[:value.from]+line+text[value.to:], before)
		if err != nil {
			return err
		}
		if after, err := os.Stat(f.path); err != nil || !same(before, after) {
			_ = os.Remove(temporary)
			continue
		}
		return f.install(temporary, f.path)
	}
	return plan.Fail(plan.KindBlocked, "see who writes it, and run the same command again", "%s changes all the time", f.path)
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// find returns the entry that counts for PgBouncer, and where its value is in the text.
func (f *File) find(text, name string) (Values, span, error) {
	d := &definitions{name: name, folder: filepath.Dir(f.path)}
	if err := d.read(f.path, text, 0); err != nil {
		return Values{}, span{}, err
	}
	switch {
	case d.file == "":
		return Values{}, span{}, d.missing(f.path)
	case d.file != f.path:
		return Values{}, span{}, plan.Fail(plan.KindUsage, "name that file with --pgbouncer-config", "the entry %q of %s that counts is in the included %s", name, f.path, d.file)
	case d.count > 1:
		return Values{}, span{}, plan.Fail(plan.KindBlocked, "leave only the one that counts, the last", "%s has the entry %q %d times", f.path, name, d.count)
	}
	v, err := valuesOf(d.value.of(text))
	if err != nil {
		return Values{}, span{}, f.misread(name, err)
	}
	return v, d.value, nil
}

// misread never shows the line: it may hold a password.
func (f *File) misread(name string, err error) error {
	return plan.Fail(plan.KindBlocked, "mend the entry, or let a hook do the change: --on-reroute", "the entry %q in %s: %w", name, f.path, err)
}

// definitions are what a file and those that it includes have for a name.
type definitions struct {
	name, folder string

	file     string // of the last one
	value    span
	count    int // in that file
	wildcard bool
	unread   []string // included, but not to be found from here
}

// deepest is PgBouncer's own bound of includes within includes.
const deepest = 10

func (d *definitions) read(file, text string, depth int) error {
	list, err := items(text)
	if err != nil {
		return plan.Fail(plan.KindBlocked, "mend it: PgBouncer reads a file only as far as its first mistake", "%s: %w", file, err)
	}
	for _, i := range list {
		switch {
		case i.include != "" && depth < deepest:
			if err := d.include(i.include, depth+1); err != nil {
				return err
			}
		case i.name == d.name:
			if d.file != file {
				d.file, d.count = file, 0
			}
			d.value = i.value
			d.count++
		case i.name == "*":
			d.wildcard = true
		}
	}
	return nil
}

// include reads a file whose name counts from PgBouncer's working directory, which is not known here: its own folder
// is the likeliest.
func (d *definitions) include(name string, depth int) error {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.folder, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		d.unread = append(d.unread, name)
		return nil
	}
	return d.read(path, string(text), depth)
}

func (d *definitions) missing(file string) error {
	text := fmt.Sprintf("%s has no entry %q in section [databases]", file, d.name)
	if d.wildcard {
		text += "; its entry * serves all others, and cannot be changed for one"
	}
	if len(d.unread) > 0 {
		text += "; included, but not to be read from here: " + strings.Join(d.unread, ", ")
	}
	return plan.Fail(plan.KindUsage, "give the database an entry of its own, or name the file that has it with --pgbouncer-config", "%s", text)
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

// write makes a temporary file in the folder, of mode 0600.
func (f *File) write(text string) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(f.path), ".pgleap-*")
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

// install moves a temporary file to its place, once and for all.
func (f *File) install(temporary, path string) error {
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return f.failed(err)
	}
	return f.syncFolder()
}

func (f *File) syncFolder() error {
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

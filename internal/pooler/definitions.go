package pooler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgleap/plan"
)

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

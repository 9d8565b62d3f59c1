package pooler

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"

	"pgleap/plan"
)

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
		return f.Sync()
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	temporary, err := f.write(string(text) + "\n")
	if err != nil {
		return err
	}
	return cmp.Or(f.rename(temporary, f.memory), f.Sync())
}

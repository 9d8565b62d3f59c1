package rehearsal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// find says which secrets stand in a text: the name of each, never the secret.
func find(secrets map[string]string, where, text string) []string {
	var out []string
	for name, secret := range secrets {
		if strings.Contains(text, secret) {
			out = append(out, name+" in "+where)
		}
	}
	return out
}

// sampler looks again and again where a secret may stand for a moment only: the servers' activity and the
// arguments of processes.
type sampler struct {
	secrets map[string]string
	tool    *tool
	every   time.Duration
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	found   map[string]bool
	samples int
	err     error
}

// watchSecrets starts to look.
func (s *Stage) watchSecrets(ctx context.Context, every time.Duration) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	w := &sampler{secrets: s.secrets(), tool: s.tool, every: every, cancel: cancel, found: map[string]bool{}}
	for _, server := range []Server{s.Source, s.Target} {
		w.done.Go(func() {
			err := server.admin(ctx, func(a *pg.Session) error { return w.watchServer(ctx, server.Side, a) })
			w.note(err, ctx)
		})
	}
	w.done.Go(func() { w.watchProcesses(ctx) })
	return w
}

func (w *sampler) note(err error, ctx context.Context) {
	if err == nil || ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *sampler) see(where, text string) {
	hits := find(w.secrets, where, text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples++
	for _, h := range hits {
		w.found[h] = true
	}
}

// pause waits for the next look; false: there is none.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *sampler) watchServer(ctx context.Context, side plan.Side, a *pg.Session) error {
	for pause(ctx, w.every) {
		rows, err := a.Script(ctx, "select query from pg_catalog.pg_stat_activity where query <> '' and application_name <> 'ledger'")
		if err != nil {
			return fmt.Errorf("read pg_stat_activity: %w", err)
		}
		for _, r := range rows {
			w.see("pg_stat_activity of the "+string(side), r[0])
		}
	}
	return nil
}

// processesEvery: a walk over all processes is not for nothing, and none of theirs is as short as this.
const processesEvery = 25 * time.Millisecond

// watchProcesses reads the arguments of the tool and of what it started. It knows /proc only; elsewhere it
// sees nothing.
func (w *sampler) watchProcesses(ctx context.Context) {
	for pause(ctx, max(w.every, processesEvery)) {
		pids := w.tool.pids()
		if len(pids) == 0 {
			continue
		}
		for _, pid := range tree(pids) {
			if text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil {
				w.see("the arguments of a process", string(text))
			}
		}
	}
}

// tree returns the processes and all that descend from them.
func tree(roots []int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name in parentheses may hold blanks; after it come the state and the parent.
		_, after, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(after)
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 2 || err1 != nil {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	all := append([]int{}, roots...)
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// end stops looking and returns what was seen.
func (w *sampler) end() (found []string, samples int, err error) {
	w.cancel()
	w.done.Wait()
	for f := range w.found {
		found = append(found, f)
	}
	sort.Strings(found)
	return found, w.samples, w.err
}

// journal returns every row of the tool's own tables, as text.
func (s *Stage) journal(ctx context.Context) ([]output, error) {
	var out []output
	for _, server := range []Server{s.Source, s.Target} {
		err := server.admin(ctx, func(a *pg.Session) error {
			tables, err := a.Script(ctx, "select relname from pg_catalog.pg_class where relkind = 'r' and relnamespace in (select oid from pg_catalog.pg_namespace where nspname = 'pgleap')")
			if err != nil {
				return err
			}
			for _, t := range tables {
				name := plan.Name{Schema: "pgleap", Name: t[0]}
				rows, err := a.Script(ctx, "select t::text from "+name.String()+" t")
				if err != nil {
					return err
				}
				var b strings.Builder
				for _, r := range rows {
					b.WriteString(r[0] + "\n")
				}
				out = append(out, output{fmt.Sprintf("%s on the %s", name, server.Side), b.String()})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
	}
	return out, nil
}

// logs returns the logs of the servers that are ours, and the pooler's.
func (s *Stage) logs() ([]output, error) {
	var out []output
	for _, server := range []Server{s.Source, s.Target} {
		if server.local == nil {
			continue
		}
		text, err := server.local.Log()
		if err != nil {
			return nil, err
		}
		out = append(out, output{"the log of the " + string(server.Side), text})
	}
	if s.pooler != nil {
		text, err := s.pooler.Log()
		if err != nil {
			return nil, err
		}
		out = append(out, output{"the log of the pooler", text})
	}
	return out, nil
}

// files returns the texts of a folder.
func files(folder string) ([]output, error) {
	var out []output
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out = append(out, output{"the report's " + filepath.Base(path), string(text)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	return out, nil
}

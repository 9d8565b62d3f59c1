package rehearsal

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"

	"pgleap/internal/pg"
)

// scenarioFile is a file's name: 00-roles.sql, 40-columns.v12.sql, 34-leaf-keys.below11.sql.
var scenarioFile = regexp.MustCompile(`^\d+-[a-z0-9-]+(?:\.(v|below)(\d+))?\.sql$`)

// rolesFile runs on both servers: roles are no part of a database.
const rolesFile = "00-roles.sql"

// scenarioFiles returns the names of a scenario's files for a server of major, in the order in which they run.
func scenarioFiles(scenarios fs.FS, scenario string, major int) ([]string, error) {
	entries, err := fs.ReadDir(scenarios, scenario)
	if err != nil {
		return nil, fmt.Errorf("read scenario %s: %w", scenario, err)
	}
	var out []string
	for _, e := range entries { // ReadDir sorts by name
		m := scenarioFile.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("read scenario %s: %s has no name of the form NN-title[.vMM|.belowMM].sql", scenario, e.Name())
		}
		if bound, err := strconv.Atoi(m[2]); err == nil && (major >= bound) != (m[1] == "v") {
			continue
		}
		out = append(out, e.Name())
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read scenario %s: no files", scenario)
	}
	return out, nil
}

// loadScenario runs the scenario's files on the source, its roles on both servers.
func (s *Stage) loadScenario(ctx context.Context) error {
	err := s.Source.admin(ctx, func(a *pg.Session) error {
		files, err := scenarioFiles(s.config.ScenarioDir, s.config.Scenario, a.Version().Major())
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, fmt.Sprintf("set pgleap.scale = %d", s.config.Scale)); err != nil {
			return err
		}
		for _, f := range files {
			if err := s.runFile(ctx, a, f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := fs.Stat(s.config.ScenarioDir, path.Join(s.config.Scenario, rolesFile)); err != nil {
		return nil // a scenario need not have roles
	}
	return s.Target.admin(ctx, func(a *pg.Session) error { return s.runFile(ctx, a, rolesFile) })
}

func (s *Stage) runFile(ctx context.Context, a *pg.Session, name string) error {
	text, err := fs.ReadFile(s.config.ScenarioDir, path.Join(s.config.Scenario, name))
	if err != nil {
		return fmt.Errorf("read scenario: %w", err)
	}
	if _, err := a.Script(ctx, string(text)); err != nil {
		return fmt.Errorf("run %s/%s: %w", s.config.Scenario, name, err)
	}
	return nil
}

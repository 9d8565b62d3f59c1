package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"pgleap/internal/pgver"
)

// StartStandby starts a standby of the server, which must be halted meanwhile: it begins with a copy of its data.
// It can be read, and stays in recovery, but follows nobody. Unlike any other two servers the two have one system
// identifier.
func (s *Server) StartStandby(ctx context.Context) (*Server, error) {
	if s.postmaster.running() {
		return nil, errors.New("start a standby: its primary is running")
	}
	standby, err := empty(s.programs, Options{Superuser: s.Superuser, Password: s.Password})
	if err != nil {
		return nil, fmt.Errorf("start a standby of PostgreSQL %s: %w", s.Version, err)
	}
	if err = standby.copyData(ctx, s.DataDir); err == nil {
		err = standby.startOnFreePort(ctx, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby of PostgreSQL %s: %w", s.Version, err), standby.Stop(ctx))
	}
	return standby, nil
}

// copyData takes over a halted server's data with its owner and modes, which PostgreSQL looks at, and says that
// it is a standby's.
func (s *Server) copyData(ctx context.Context, from string) error {
	if err := s.user.own(s.folder); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", from, s.DataDir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the data: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	if pgver.Version(s.Major * 10_000).Has(pgver.StandbySignal) {
		return s.writeFile(filepath.Join(s.DataDir, "standby.signal"), "")
	}
	return s.writeFile(filepath.Join(s.DataDir, "recovery.conf"), "standby_mode = 'on'\n")
}

package pgserver

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// defaults suit tests of logical replication: room for many slots and workers,
// and nothing that waits for a disk. A run keeps slots and subscriptions until it is finalized.
var defaults = []struct {
	name, value string
	since       int // the first major that knows the setting; 0 is all
}{
	{name: "listen_addresses", value: "127.0.0.1"},
	{name: "unix_socket_directories", value: ""},
	{name: "wal_level", value: "logical"},
	{name: "max_wal_senders", value: "60"},
	{name: "max_replication_slots", value: "60"},
	{name: "max_active_replication_origins", value: "60", since: 18},
	{name: "max_logical_replication_workers", value: "60"},
	{name: "max_sync_workers_per_subscription", value: "4"},
	{name: "max_worker_processes", value: "90"},
	{name: "max_connections", value: "120"},
	{name: "max_prepared_transactions", value: "5"},
	{name: "shared_buffers", value: "128MB"},
	{name: "fsync", value: "off"},
	// 10 to 13 would store md5 for new roles, which our pg_hba.conf refuses.
	{name: "password_encryption", value: "scram-sha-256"},
	{name: "log_statement", value: "none"},
	{name: "log_line_prefix", value: "%m [%p] %q%u@%d %a "},
	{name: "log_timezone", value: "UTC"},
	{name: "timezone", value: "UTC"},
}

// initialise makes the cluster and writes its two configuration files.
func (s *Server) initialise(ctx context.Context, o Options) error {
	if err := s.user.own(s.folder); err != nil {
		return err
	}
	passwordFile := filepath.Join(s.folder, "password")
	if err := s.writeFile(passwordFile, s.Password+"\n"); err != nil {
		return err
	}
	args := append([]string{
		"--pgdata=" + s.DataDir, "--username=" + s.Superuser, "--pwfile=" + passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
	}, o.InitArgs...)
	cmd := s.command(ctx, "initdb", args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, strings.TrimSpace(output.String()))
	}
	if err := os.Remove(passwordFile); err != nil {
		return err
	}
	if err := s.appendFile(filepath.Join(s.DataDir, "postgresql.conf"), s.settings(o.Settings)); err != nil {
		return err
	}
	return s.writeFile(filepath.Join(s.DataDir, "pg_hba.conf"), hba(o.HBA))
}

// settings are the lines appended to initdb's postgresql.conf; of two lines
// for one setting the server takes the last.
func (s *Server) settings(given map[string]string) string {
	var b strings.Builder
	for _, d := range defaults {
		if s.Major >= d.since {
			fmt.Fprintf(&b, "%s = %s\n", d.name, quoteSetting(d.value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(given[name]))
	}
	return b.String()
}

// quoteSetting writes a value as postgresql.conf wants it: any value may stand
// in quotes, numbers too.
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(value) + "'"
}

func hba(extra []string) string {
	lines := append(slices.Clone(extra),
		"host all all 127.0.0.1/32 scram-sha-256",
		"host replication all 127.0.0.1/32 scram-sha-256",
	)
	return strings.Join(lines, "\n") + "\n"
}

// command is one of the server's programs, run as the server's user. Its
// environment is empty but for what it needs: a PGPASSWORD or PGSSLMODE of ours
// would reach the server's own connections to its publisher.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs.Bin, program), args...)
	cmd.Dir = s.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = s.user.detached()
	return cmd
}

func (s *Server) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return s.user.own(path)
}

func (s *Server) appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close() // the write's error says more
		return err
	}
	return f.Close()
}

// Package pgserver starts, restarts and removes throw-away PostgreSQL servers
// of any major from the programs found on this machine. Tests and the
// rehearsal use it.
//
// A server is its own initdb, never a copy of a template: two servers of a
// replication pair must differ in their system identifier. Only a standby
// (StartStandby) is a copy.
package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Options say which server to start. The zero value of every field but Major
// is a useful one.
type Options struct {
	// Major is the server's major version, 10 to 18.
	Major int
	// Folder is searched for the server programs before all other places: a
	// folder of <major>/bin folders, or a folder that holds the programs.
	Folder string
	// Settings are written to postgresql.conf over the defaults, which suit
	// tests of logical replication. Among the defaults are fsync = off, which
	// makes a start and a large load several times faster and survives a crash
	// of the server but not one of the machine, and listen_addresses =
	// '127.0.0.1'.
	Settings map[string]string
	// HBA are lines put before the default lines of pg_hba.conf. The defaults
	// let everybody in over 127.0.0.1, replication included, by scram-sha-256.
	HBA []string
	// InitArgs are given to initdb after its default arguments, which make a
	// UTF8 cluster of locale C: the only locale that is the same everywhere.
	InitArgs []string
	// Superuser is the bootstrap superuser's name; "" is postgres.
	Superuser string
	// Password is the superuser's password; "" is a random one.
	Password string
	// DataParent is the folder in which the server's own folder is made; "" is
	// the folder for temporary files.
	DataParent string
	// Port is the TCP port on 127.0.0.1; 0 is a free one.
	Port int
}

// Server is a running, or halted, throw-away server. Its methods are not safe
// for concurrent use; the URIs and the log are.
//
// However this process ends, SIGKILL included, the server ends and its folder
// goes with it.
type Server struct {
	Major     int
	Version   string // "13.23"
	Port      int
	Superuser string
	Password  string
	DataDir   string // PostgreSQL's own data directory
	LogFile   string // everything the server wrote to its log, over all restarts

	programs   Programs
	folder     string // holds DataDir and LogFile; removed by Stop
	user       *user  // whom the server runs as; nil is this process's own user
	postmaster *postmaster
	watchdog   *watchdog
}

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	// bindAttempts bounds how often Start tries another port. Between finding
	// a port free and binding it, another process may take it.
	bindAttempts = 10
)

// Start makes a new server and returns when it accepts connections. The server
// outlives ctx: it ends by Stop, or with this process.
func Start(ctx context.Context, o Options) (*Server, error) {
	programs, err := Lookup(o.Folder, o.Major)
	if err != nil {
		return nil, err
	}
	s, err := prepare(ctx, programs, o)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL %s: %w", programs.Version, err)
	}
	if err := s.startOnFreePort(ctx, o.Port); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL %s: %w", s.Version, err), s.Stop(ctx))
	}
	return s, nil
}

// prepare makes the server's folder and the cluster in it.
func prepare(ctx context.Context, programs Programs, o Options) (*Server, error) {
	s, err := empty(programs, o)
	if err != nil {
		return nil, err
	}
	if err := s.initialise(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// empty makes the server's folder, watched from the first moment on.
func empty(programs Programs, o Options) (*Server, error) {
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	if err := user.canReach(programs.Bin); err != nil {
		return nil, fmt.Errorf("server programs: %w", err)
	}
	parent := o.DataParent
	if parent == "" {
		parent = os.TempDir()
	}
	if parent, err = filepath.Abs(parent); err != nil {
		return nil, err
	}
	if err := user.canReach(parent); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	folder, err := os.MkdirTemp(parent, fmt.Sprintf("pgleap-server-%d-", o.Major))
	if err != nil {
		return nil, err
	}
	dog, err := watch(folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s := &Server{
		Major:     programs.Major,
		Version:   programs.Version,
		Superuser: o.Superuser,
		Password:  o.Password,
		DataDir:   filepath.Join(folder, "data"),
		LogFile:   filepath.Join(folder, "log"),
		programs:  programs,
		folder:    folder,
		user:      user,
		watchdog:  dog,
	}
	if s.Superuser == "" {
		s.Superuser = "postgres"
	}
	if s.Password == "" {
		s.Password = rand.Text()
	}
	return s, nil
}

// startOnFreePort starts the server on the given port or, if that is 0, on
// one that is free.
func (s *Server) startOnFreePort(ctx context.Context, port int) error {
	if port != 0 {
		s.Port = port
		return s.Resume(ctx)
	}
	var err error
	for range bindAttempts {
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.Resume(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// URI is the superuser's connection string, password included, for a database.
func (s *Server) URI(database string) string {
	return s.URIFor(s.Superuser, s.Password, database)
}

// URIFor is a connection string for a user, a password and a database.
func (s *Server) URIFor(user, password, database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(user, password),
		Host:   "127.0.0.1:" + strconv.Itoa(s.Port),
		Path:   "/" + database,
	}
	return u.String()
}

// Log returns everything the server has written to its log so far. After Stop
// there is none.
func (s *Server) Log() (string, error) {
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return "", fmt.Errorf("read server log: %w", err)
	}
	return string(text), nil
}

// Resume starts a halted server again, or one that crashed, with the same data
// on the same port, and returns when it accepts connections.
func (s *Server) Resume(ctx context.Context) error {
	if s.watchdog == nil {
		return errors.New("resume server: it was stopped and removed")
	}
	if s.postmaster.running() {
		return errors.New("resume server: it is running")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := s.launch()
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	s.postmaster = p
	if err := p.awaitReady(ctx, s.DataDir); err != nil {
		err = errors.Join(s.explain(err), s.Halt(context.WithoutCancel(ctx), "immediate"))
		return fmt.Errorf("start server: %w", err)
	}
	return nil
}

// Halt shuts the server down in the given mode, "smart", "fast" or
// "immediate", and leaves its data for Resume. A halted server stays halted
// without an error. If ctx ends first, the server is shut down at once.
func (s *Server) Halt(ctx context.Context, mode string) error {
	if s.postmaster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.postmaster.shutDown(ctx, mode); err != nil {
		return fmt.Errorf("halt server: %w", err)
	}
	s.postmaster = nil
	s.watchdog.guard(0)
	return nil
}

// Restart is Halt in the given mode and Resume: same port, same data.
func (s *Server) Restart(ctx context.Context, mode string) error {
	if err := s.Halt(ctx, mode); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// Stop ends the server and removes its folder. It works with a context that
// has ended, and a second Stop does nothing.
//
// The shutdown is an immediate one: nothing is kept, and a fast one would wait
// for subscribers that no longer read.
func (s *Server) Stop(ctx context.Context) error {
	if s.watchdog == nil {
		return nil
	}
	if err := s.Halt(context.WithoutCancel(ctx), "immediate"); err != nil {
		return err
	}
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("remove server: %w", err)
	}
	err := s.watchdog.dismiss()
	s.watchdog = nil
	return err
}

package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgleap/internal/pg"
)

// PgBouncerOptions say which PgBouncer to start.
type PgBouncerOptions struct {
	// Dir holds the configuration, the users' passwords and the log. It is made
	// if it is missing, and stays. "" is a new folder among the temporary files,
	// which goes with the PgBouncer.
	Dir string
	// Databases are the entries of section [databases]: the name in PgBouncer
	// (of letters, digits and _.- only; * is all others), and a connection
	// string without a password, such as "host=127.0.0.1 port=5433 dbname=shop".
	Databases map[string]string
	// Users are those who may log in, with their passwords in clear: PgBouncer
	// logs in to the servers with them. Our own admin user is added.
	Users map[string]string
	// Settings are those of section [pgbouncer], over the defaults, among which
	// is pool_mode = transaction.
	Settings map[string]string
}

// PgBouncer is a running throw-away PgBouncer. However this process ends, the
// PgBouncer ends with it.
type PgBouncer struct {
	port      int
	password  string // of the admin user
	folder    string
	temporary bool // the folder is ours to remove
	user      *user
	cmd       *exec.Cmd
	exited    chan struct{}
	watchdog  *watchdog
}

// pgBouncerAdmin is the user of the admin console.
const pgBouncerAdmin = "pgleap_admin"

// ErrNoPgBouncer says that the program is not on this machine, and how to get it.
var ErrNoPgBouncer = errors.New("the program pgbouncer is not on this machine: install it (Debian and Ubuntu: apt-get install pgbouncer; Homebrew: brew install pgbouncer)")

// StartPgBouncer starts a PgBouncer on a free port of 127.0.0.1 and returns
// when its admin console answers. It outlives ctx: it ends by Stop, or with
// this process. The error is ErrNoPgBouncer if the program is missing.
func StartPgBouncer(ctx context.Context, o PgBouncerOptions) (*PgBouncer, error) {
	program, err := pgBouncerProgram()
	if err != nil {
		return nil, err
	}
	p, err := emptyPgBouncer(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	if err := p.startOnFreePort(ctx, program, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start PgBouncer: %w", err), p.Stop(ctx))
	}
	return p, nil
}

// pgBouncerProgram looks beyond PATH: Debian installs into /usr/sbin, which
// only root has there.
func pgBouncerProgram() (string, error) {
	if found, err := exec.LookPath("pgbouncer"); err == nil {
		return filepath.Abs(found)
	}
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin"} {
		if found, err := exec.LookPath(filepath.Join(folder, "pgbouncer")); err == nil {
			return found, nil
		}
	}
	return "", ErrNoPgBouncer
}

// emptyPgBouncer makes the folder, and a watchdog that removes it only if it is
// a temporary one.
func emptyPgBouncer(dir string) (*PgBouncer, error) {
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	p := &PgBouncer{user: user, folder: dir, password: rand.Text()}
	if dir == "" {
		p.temporary = true
		p.folder, err = os.MkdirTemp("", "pgleap-pgbouncer-")
	} else if p.folder, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(p.folder, 0o755) // what is secret is in files of their own mode
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(user.own(p.folder), user.canReach(p.folder)); err != nil {
		return nil, errors.Join(err, p.removeFolder())
	}
	toRemove := ""
	if p.temporary {
		toRemove = p.folder
	}
	if p.watchdog, err = watch(toRemove); err != nil {
		return nil, errors.Join(err, p.removeFolder())
	}
	return p, nil
}

func (p *PgBouncer) startOnFreePort(ctx context.Context, program string, o PgBouncerOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	for range bindAttempts {
		if p.port, err = freePort(); err != nil {
			return err
		}
		if err = p.configure(o); err != nil {
			return err
		}
		if err = p.launch(program); err != nil {
			return err
		}
		if err = p.awaitReady(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// configure writes the configuration and the users' file.
func (p *PgBouncer) configure(o PgBouncerOptions) error {
	settings := map[string]string{
		"listen_addr":     "127.0.0.1",
		"listen_port":     strconv.Itoa(p.port),
		"unix_socket_dir": "",
		"auth_type":       "scram-sha-256",
		"auth_file":       p.usersFile(),
		"admin_users":     pgBouncerAdmin,
		"pool_mode":       "transaction",
		"max_client_conn": "500",
	}
	maps.Copy(settings, o.Settings)
	var ini, users strings.Builder
	ini.WriteString("[databases]\n")
	for _, name := range slices.Sorted(maps.Keys(o.Databases)) {
		fmt.Fprintf(&ini, "%s = %s\n", name, o.Databases[name])
	}
	ini.WriteString("\n[pgbouncer]\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&ini, "%s = %s\n", name, settings[name])
	}
	for _, name := range slices.Sorted(maps.Keys(o.Users)) {
		fmt.Fprintf(&users, "%s %s\n", doubleQuoted(name), doubleQuoted(o.Users[name]))
	}
	fmt.Fprintf(&users, "%s %s\n", doubleQuoted(pgBouncerAdmin), doubleQuoted(p.password))
	return errors.Join(p.write(p.ConfigFile(), ini.String()), p.write(p.usersFile(), users.String()))
}

// doubleQuoted is how the users' file has its names and passwords.
func doubleQuoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func (p *PgBouncer) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return p.user.own(path)
}

// launch starts the process and hands it to the watchdog. The log is its
// standard error: a log file of its own would lack what is said before it is open.
func (p *PgBouncer) launch(program string) error {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own descriptor
	cmd := exec.Command(program, p.ConfigFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = p.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = p.user.detached()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.watchdog.guard(cmd.Process.Pid)
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		_ = cmd.Wait() // an end that was not asked for is told by the log
		close(exited)
	}()
	return nil
}

// awaitReady returns when the admin console takes our password: another
// PgBouncer on the port would not.
func (p *PgBouncer) awaitReady(ctx context.Context) error {
	address, err := pg.ParseAddress(p.AdminURI())
	if err != nil {
		return err
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		console, err := pg.OpenConsole(ctx, address, pg.Options{Verb: "pgserver"})
		if err == nil {
			console.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return p.explain(errors.Join(err, ctx.Err()))
		case <-p.exited:
			return p.explain(errors.New("it ended"))
		case <-poll.C:
		}
	}
}

// explain adds PgBouncer's own last words to an error.
func (p *PgBouncer) explain(err error) error {
	words, logErr := p.Log()
	if logErr != nil {
		return errors.Join(err, logErr)
	}
	if strings.Contains(words, "Address already in use") {
		err = fmt.Errorf("%w: %d", errPortTaken, p.port)
	}
	return fmt.Errorf("%w\n%s", err, lastLines(words, 20))
}

// AdminURI is the connection string of the admin console, password included.
func (p *PgBouncer) AdminURI() string { return p.URI("pgbouncer", pgBouncerAdmin, p.password) }

// URI is a client's connection string for an entry of section [databases].
func (p *PgBouncer) URI(database, user, password string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(user, password),
		Host:   "127.0.0.1:" + strconv.Itoa(p.port),
		Path:   "/" + database,
	}
	return u.String()
}

// ConfigFile is the path of the configuration.
func (p *PgBouncer) ConfigFile() string { return filepath.Join(p.folder, "pgbouncer.ini") }

func (p *PgBouncer) usersFile() string { return filepath.Join(p.folder, "users.txt") }
func (p *PgBouncer) logFile() string   { return filepath.Join(p.folder, "log") }

// Port is the TCP port on 127.0.0.1.
func (p *PgBouncer) Port() int { return p.port }

// PID is the process id, 0 after Stop.
func (p *PgBouncer) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns everything that PgBouncer has written to its log so far.
func (p *PgBouncer) Log() (string, error) {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return "", fmt.Errorf("read PgBouncer's log: %w", err)
	}
	return string(text), nil
}

// Stop ends PgBouncer at once, clients or not, and removes its folder if that
// is a temporary one. A second Stop does nothing.
//
// It is killed: there is nothing to be kept, and of the milder signals 1.18
// waits at one and 1.23 at another until all clients are gone.
func (p *PgBouncer) Stop(_ context.Context) error {
	if p.watchdog == nil {
		return nil
	}
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // an error means that it has ended already
		<-p.exited
		p.cmd = nil
		p.watchdog.guard(0)
	}
	err := errors.Join(p.removeFolder(), p.watchdog.dismiss())
	p.watchdog = nil
	return err
}

func (p *PgBouncer) removeFolder() error {
	if !p.temporary {
		return nil
	}
	return os.RemoveAll(p.folder)
}

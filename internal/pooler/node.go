// Package pooler speaks with PgBouncer: its admin console, which stops clients without failing them, and its
// configuration file, which says where they go on.
//
// What is said here of PgBouncer was measured with 1.18.
package pooler

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgleap/internal/pg"
)

// Node is one PgBouncer. It holds two sessions on the admin console: the session that sends PAUSE is answered only
// when the last server connection is free, and until then the other one looks, and resumes. Its methods may be
// called from several goroutines.
type Node struct {
	address pg.Address
	version string
	mode    string // pool_mode of entries that have none of their own
	retry   string // server_login_retry of the configuration, in seconds
	limit   string // max_db_connections of the configuration; 0 is none

	mu      sync.Mutex // of control, hurried and frozen
	control *pg.Console
	hurried bool // server_login_retry is changed, and not yet put back
	frozen  bool // the same of max_db_connections

	pausing sync.Mutex // of pauser
	pauser  *pg.Console
}

// undoTimeout bounds what is put right after the caller's context has ended.
const undoTimeout = 5 * time.Second

// Open connects to the admin console with both sessions. The user must be one of admin_users for all that changes
// something; see MayPause.
func Open(ctx context.Context, admin pg.Address) (*Node, error) {
	n := &Node{address: admin}
	config, err := n.Config(ctx)
	if err != nil {
		n.Close()
		return nil, err
	}
	n.mode, n.retry, n.limit = config["pool_mode"], config["server_login_retry"], config["max_db_connections"]
	version, err := n.command(ctx, "show version")
	if err == nil && len(version) > 0 {
		n.version = strings.TrimPrefix(version[0]["version"], "PgBouncer ")
	}
	if err == nil {
		_, err = n.pauseSession(ctx)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Address is where the console is; String shows it without user and password.
func (n *Node) Address() pg.Address { return n.address }

// String names the node in messages.
func (n *Node) String() string { return "PgBouncer " + n.address.HostPort() }

// Version is such as 1.18.0, "" where the console does not say.
func (n *Node) Version() string { return n.version }

// Close puts back what Pause and Resume changed of the configuration, and ends both sessions. A PAUSE that was answered
// stays.
func (n *Node) Close() {
	n.thaw()
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	_ = n.Settle(ctx) // a RELOAD or a restart puts it back as well
	n.mu.Lock()
	if n.control != nil {
		n.control.Close()
	}
	n.mu.Unlock()
	n.pausing.Lock()
	if n.pauser != nil {
		n.pauser.Close()
	}
	n.pausing.Unlock()
}

// Config returns the settings of PgBouncer as they are in force.
func (n *Node) Config(ctx context.Context) (map[string]string, error) {
	rows, err := n.command(ctx, "show config")
	if err != nil {
		return nil, err
	}
	config := make(map[string]string, len(rows))
	for _, row := range rows {
		config[row["key"]] = row["value"]
	}
	return config, nil
}

// MayPause tells whether the console's user is an admin: one of stats_users may look only. It sets a setting to the
// value that it has.
func (n *Node) MayPause(ctx context.Context) error {
	_, err := n.command(ctx, "set server_login_retry = "+quoteValue(n.retry))
	if err != nil {
		return fmt.Errorf("user %s may not pause: put it into admin_users: %w", n.address.User(), err)
	}
	return nil
}

// Reload makes PgBouncer read its configuration file. Of a file with a mistake what stands before the mistake counts. 1.18
// answers then as ever, newer ones with an error: what the entry says afterwards decides. See ReloadTo.
func (n *Node) Reload(ctx context.Context) error {
	_, err := n.command(ctx, "reload")
	return err
}

// ReloadTo is Reload, and an error if the entry does not point where it should afterwards.
func (n *Node) ReloadTo(ctx context.Context, db string, want Values) error {
	failed := n.Reload(ctx)
	e, err := n.Entry(ctx, db)
	if err != nil {
		return errors.Join(failed, err)
	}
	if e.Values() != want {
		return errors.Join(n.elsewhere(e, want), failed)
	}
	return nil
}

// command sends one command that may be sent twice: a connection that has been lost since the last one is opened anew.
func (n *Node) command(ctx context.Context, text string) ([]map[string]string, error) {
	answers, err := n.send(ctx, text)
	if err != nil {
		return nil, err
	}
	return answers[0].Rows, n.named(text, answers[0].Err)
}

func (n *Node) send(ctx context.Context, commands ...string) ([]pg.Answer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		reused := n.control != nil && n.control.Alive()
		if !reused {
			var err error
			if n.control, err = n.open(ctx); err != nil {
				return nil, err
			}
		}
		answers, err := n.control.Send(ctx, commands...)
		if err == nil {
			return answers, nil
		}
		n.control.Close()
		if !reused || ctx.Err() != nil {
			return nil, n.named(strings.Join(commands, "; "), err)
		}
	}
}

func (n *Node) open(ctx context.Context) (*pg.Console, error) {
	return pg.OpenConsole(ctx, n.address, pg.Options{Verb: "pooler"})
}

// pauseSession is the session for PAUSE. The caller holds pausing, but for Open.
func (n *Node) pauseSession(ctx context.Context) (*pg.Console, error) {
	if n.pauser == nil || !n.pauser.Alive() {
		var err error
		if n.pauser, err = n.open(ctx); err != nil {
			n.pauser = nil
			return nil, err
		}
	}
	return n.pauser, nil
}

// named says on which node a command went wrong.
func (n *Node) named(command string, err error) error {
	if err == nil {
		return nil
	}
	if pg.Code(err) != "" { // the error's own text repeats its code and severity
		return &refusal{text: fmt.Sprintf("%s: %s: %s", n, command, pg.Message(err)), err: err}
	}
	return fmt.Errorf("%s: %s: %w", n, command, err)
}

// said is a console's no, by itself.
func said(err error) error {
	if err == nil || pg.Code(err) == "" {
		return err
	}
	return &refusal{text: pg.Message(err), err: err}
}

// refusal is what the console says no with.
type refusal struct {
	text string
	err  error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }

// refused tells whether the console itself answered, and with no.
func refused(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// quoteName and quoteValue are the console's quoting of names and of values.
func quoteName(name string) string   { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func quoteValue(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

// number is 0 where an older version has no such column.
func number(text string) int64 {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

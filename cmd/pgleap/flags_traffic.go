package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"pgleap/internal/hooks"
	"pgleap/internal/pg"
	"pgleap/internal/pipeline"
	"pgleap/internal/traffic"
	"pgleap/plan"
)

// poolerFlags say where the clients go through.
func poolerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "pgbouncer", Usage: "the admin console of a PgBouncer that the clients go through, a `URI` such as postgres://admin@host:6432/pgbouncer; once for each [$PGLEAP_PGBOUNCER, parted by spaces]"},
		&cli.StringSliceFlag{Name: "pgbouncer-config", Usage: "its configuration `FILE`, if this machine can write it: the entry is pointed elsewhere there; in the order of --pgbouncer [$PGLEAP_PGBOUNCER_CONFIG, parted by spaces]"},
		&cli.StringFlag{Name: "pgbouncer-database", Usage: "the `NAME` of the database in PgBouncer (default: the entry that points at the source)"},
		&cli.StringFlag{Name: "target-from-pgbouncer", Usage: "where PgBouncer reaches the target, when not at the same address: `HOST:PORT`"},
		&cli.StringFlag{Name: "on-reroute", Usage: "run `COMMAND` to point the clients at the server that takes over; with a pooler while they are held"},
		&cli.DurationFlag{Name: "hook-timeout", Value: hooks.DefaultTimeout, Usage: "a command that takes longer is killed, and has failed"},
	}
}

// trafficFlags are those of a verb that switches.
func trafficFlags() []cli.Flag {
	return join(poolerFlags(), []cli.Flag{
		&cli.BoolFlag{Name: "without-pooler", Usage: "make this switch without the poolers that an earlier one of this run was made through: no client goes through them any more"},
		&cli.DurationFlag{Name: "pause-timeout", DefaultText: "half of --max-write-stall", Usage: "how long PAUSE may wait for open transactions on all poolers together"},
		&cli.StringFlag{Name: "on-before-switch", Usage: "run `COMMAND` before anybody has to wait; if it fails nothing is begun"},
		&cli.StringFlag{Name: "on-after-release", Usage: "run `COMMAND` when the server that takes over is being written"},
		&cli.StringFlag{Name: "on-abort", Usage: "run `COMMAND` when a switch was undone"},
		&cli.StringFlag{Name: "on-rollback", Usage: "run `COMMAND` when a rollback is done"},
		&cli.StringFlag{Name: "on-status", Usage: "run `COMMAND` at every stage, wait, release and undo, in the background"},
	})
}

const hooksText = `Commands of --on-… run by sh, with PGLEAP_* in their environment: PGLEAP_HOOK, PGLEAP_RUN, PGLEAP_DIRECTION (cutover or
rollback), PGLEAP_OLD_ and PGLEAP_NEW_ with HOST, PORT and DATABASE (the server that is left, and the one that takes
over), the same with PGLEAP_SOURCE_ and PGLEAP_TARGET_, PGLEAP_STATUS, PGLEAP_STAGE, PGLEAP_MESSAGE, PGLEAP_FENCE_LSN, PGLEAP_STALL_MS.
on-reroute may be called more than once, and with PGLEAP_UNDO=1 to take itself back. Before the point of no return a
command that fails undoes everything; after it, it is reported.`

// traffic reads the flags; each verb has some of them.
func (s *session) traffic(c *cli.Context) error {
	set := hooks.Set{Commands: map[hooks.Hook]string{}, Timeout: c.Duration("hook-timeout")}
	for _, h := range []hooks.Hook{hooks.BeforeSwitch, hooks.Reroute, hooks.AfterRelease, hooks.OnAbort, hooks.OnRollback, hooks.OnStatus} {
		flag := string(h)
		if !strings.HasPrefix(flag, "on-") {
			flag = "on-" + flag
		}
		if line := c.String(flag); line != "" {
			set.Commands[h] = line
		}
	}
	s.Traffic = pipeline.TrafficConfig{Database: c.String("pgbouncer-database"), PauseTimeout: c.Duration("pause-timeout"), Without: c.Bool("without-pooler"), Hooks: set}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		s.Traffic.Terminal = os.Stderr
	}
	if c.IsSet("hook-timeout") && set.Timeout <= 0 {
		return plan.Fail(plan.KindUsage, "give at least 1s", "--hook-timeout %s leaves no time for a command", set.Timeout)
	}
	if c.IsSet("pause-timeout") && s.Traffic.PauseTimeout < 10*time.Millisecond {
		return plan.Fail(plan.KindUsage, "give at least 100ms", "--pause-timeout %s leaves no time for a PAUSE", s.Traffic.PauseTimeout)
	}
	if err := s.poolers(c); err != nil {
		return err
	}
	at := c.String("target-from-pgbouncer")
	if at == "" || s.Target.IsZero() {
		return nil
	}
	seen, err := s.Target.SeenAt(at)
	if err != nil || strings.ContainsAny(at, "=@/") {
		return plan.Fail(plan.KindUsage, "give HOST:PORT", "--target-from-pgbouncer cannot be read")
	}
	s.Traffic.TargetAt.Host, s.Traffic.TargetAt.Port = seen.Host(), seen.Port()
	return nil
}

// poolers reads --pgbouncer and --pgbouncer-config. A verb that moves clients has to know how.
func (s *session) poolers(c *cli.Context) error {
	consoles := several(c, "pgbouncer", "PGLEAP_PGBOUNCER")
	files := several(c, "pgbouncer-config", "PGLEAP_PGBOUNCER_CONFIG")
	for i, text := range consoles {
		a, err := pg.ParseAddress(text)
		if err != nil {
			return &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("--pgbouncer, number %d: %w", i+1, err)}
		}
		if a.Database() != "pgbouncer" {
			return plan.Fail(plan.KindUsage, "give postgres://ADMIN@HOST:PORT/pgbouncer", "--pgbouncer, number %d, names database %q: the admin console is called pgbouncer", i+1, a.Database())
		}
		p := traffic.Pooler{Admin: a}
		if len(files) > i {
			if p.File, err = filepath.Abs(files[i]); err != nil {
				return fmt.Errorf("--pgbouncer-config: %w", err)
			}
		}
		s.Traffic.Poolers = append(s.Traffic.Poolers, p)
	}
	switch {
	case len(consoles) > 0 && c.Bool("without-pooler"):
		return plan.Fail(plan.KindUsage, "leave one of them out (and unset PGLEAP_PGBOUNCER)", "--without-pooler, and --pgbouncer names one")
	case len(consoles) == 0 && len(files)+len(c.String("pgbouncer-database"))+len(c.String("target-from-pgbouncer")) > 0:
		return plan.Fail(plan.KindUsage, "give --pgbouncer postgres://ADMIN@HOST:PORT/pgbouncer", "there is more about a PgBouncer, and not where its admin console is")
	case len(files) > 0 && len(files) != len(consoles):
		return plan.Fail(plan.KindUsage, "give one for each, in the same order", "%d --pgbouncer and %d --pgbouncer-config", len(consoles), len(files))
	case len(consoles) > 0 && len(files) == 0 && c.String("on-reroute") == "":
		return plan.Fail(plan.KindUsage, "give --pgbouncer-config FILE for each, if this machine can write it, or --on-reroute COMMAND, which changes it", "--pgbouncer alone does not say how the clients are pointed at the new server")
	}
	return nil
}

// several are the values of a repeatable flag, or else of its variable.
func several(c *cli.Context, flag, variable string) []string {
	if given := c.StringSlice(flag); len(given) > 0 {
		return given
	}
	if !hasFlag(c, flag) {
		return nil
	}
	return strings.Fields(env(variable))
}

func hasFlag(c *cli.Context, name string) bool {
	for _, f := range c.Command.Flags {
		if f.Names()[0] == name {
			return true
		}
	}
	return false
}

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"pgleap/internal/rehearsal"
	"pgleap/plan"
	"pgleap/testdata"
)

func rehearseCommand() *cli.Command {
	return &cli.Command{
		Name: "rehearse", Usage: "the whole upgrade on throw-away servers, under load, with a verdict",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "from", Value: 13, Usage: "major of the server that is left, 10 to 17"},
			&cli.IntFlag{Name: "to", Value: 18, Usage: "major of the server that takes over, 11 to 18"},
			&cli.StringFlag{Name: "servers", Usage: "`FOLDER` of server programs (default: all usual places, and what make servers fetched)"},
			&cli.StringFlag{Name: "source", Usage: "a given server instead: superuser's `URI` of an empty database [$PGLEAP_SOURCE]"},
			&cli.StringFlag{Name: "target", Usage: "a given server instead: superuser's `URI` of an empty database [$PGLEAP_TARGET]"},
			&cli.StringFlag{Name: "scenario", Value: "shop", Usage: "shop, pgbench or odd-names"},
			&cli.IntFlag{Name: "scale", Value: 1, Usage: "how large the scenario's big tables are"},
			&cli.Float64Flag{Name: "rate", Value: 500, Usage: "writing transactions a second, open loop"},
			&cli.Float64Flag{Name: "read-rate", Value: 100, Usage: "reads a second, open loop"},
			&cli.IntFlag{Name: "clients", Value: 16, Usage: "writing clients"},
			&cli.DurationFlag{Name: "duration", Value: 20 * time.Second, Usage: "how long the load runs around the switch"},
			&cli.StringFlag{Name: "pooler", Value: "none", Usage: "what clients go through: none or pgbouncer (in transaction mode)"},
			&cli.IntFlag{Name: "floors", Usage: "how `OFTEN` to measure, before the switch, PAUSE and RESUME alone and with a hand-written fence between; needs the pooler"},
			&cli.BoolFlag{Name: "rollback", Usage: "after the switch go back under load, and end with abort instead of finalize"},
			&cli.IntFlag{Name: "trips", Usage: "how `OFTEN` to go there and back under load before the switch that stays"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "load between two switches"},
			&cli.Int64Flag{Name: "seed", Usage: "of the load's choices (default: the clock)"},
			&cli.DurationFlag{Name: "write-stall", Value: time.Second, Usage: "the longest time without an acknowledged write that passes"},
			&cli.Int64Flag{Name: "sequence-margin", Usage: "given to cutover; over 0, some clients take sequence values ahead of their writes"},
			&cli.StringFlag{Name: "role", Value: "superuser", Usage: "connect as a superuser, or with only what check names as a role that is bare, documented or what a service gives (docs/privileges.md)"},
			&cli.StringSliceFlag{Name: "with", Usage: "a `FLAG` for the upgrade itself (check, plan and sync), such as --set-replica-identity; repeated"},
			&cli.StringFlag{Name: "fence", Usage: "the `KIND` of fence that sync is to prepare (default: its own choice)"},
			&cli.StringFlag{Name: "report", Usage: "`FOLDER` for verdict.json, junit.xml, the ledger and the logs"},
			&cli.BoolFlag{Name: "keep", Usage: "leave the servers running until interrupted"},
			&cli.BoolFlag{Name: "json", Usage: "the verdict as JSON on stdout"},
		},
		Description: describe(`Starts an old and a new server (or uses two given ones), loads a schema, runs clients against it the whole time,
carries the upgrade through with this very program, and shows that every acknowledged commit survived. make servers
fetches the server programs.`, `
pgleap rehearse --from 13 --to 18
pgleap rehearse --from 17 --to 18 --pooler pgbouncer --rate 1000 --read-rate 1000 --clients 32 --trips 20 --floors 20
pgleap rehearse --from 10 --to 18 --scenario odd-names --rate 200 --duration 5s --report out`, exitOK, exitUnexpected, exitUsage, exitRehearsal, exitInterrupted),
		Action: func(c *cli.Context) error {
			config, err := rehearsalConfig(c)
			if err != nil {
				return err
			}
			return runRehearsal(c.Context, config, c.Bool("json"), c.App.Writer)
		},
	}
}

func rehearsalConfig(c *cli.Context) (rehearsal.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return rehearsal.Config{}, fmt.Errorf("find this program: %w", err)
	}
	config := rehearsal.Config{
		From: c.Int("from"), To: c.Int("to"), Folder: c.String("servers"), Scenario: c.String("scenario"), Scale: c.Int("scale"),
		Rate: c.Float64("rate"), Clients: c.Int("clients"), Duration: c.Duration("duration"), Seed: c.Int64("seed"),
		Budget: rehearsal.Budget{WriteStall: c.Duration("write-stall")}, Report: c.String("report"), Keep: c.Bool("keep"),
		ReadRate: c.Float64("read-rate"), Pooler: rehearsal.Pooler(c.String("pooler")), Floors: c.Int("floors"),
		Rollback: c.Bool("rollback"), Trips: c.Int("trips"), Interval: c.Duration("interval"),
		Role: rehearsal.Role(c.String("role")), Margin: c.Int64("sequence-margin"), Tool: []string{self}, With: c.StringSlice("with"), Fence: c.String("fence"),
		Out: func(line string) { fmt.Fprintln(os.Stderr, line) },
	}
	if c.IsSet("source") || c.IsSet("target") {
		config.Source, config.Target = first(c.String("source"), env("PGLEAP_SOURCE")), first(c.String("target"), env("PGLEAP_TARGET"))
		if config.Source == "" || config.Target == "" {
			return config, plan.Fail(plan.KindUsage, "give both, or neither and the majors with --from and --to", "--source and --target go together")
		}
	}
	if info, err := fs.Stat(testdata.Scenarios(), config.Scenario); err != nil || !info.IsDir() {
		return config, plan.Fail(plan.KindUsage, "give shop, pgbench or odd-names", "there is no scenario %q", config.Scenario)
	}
	if !slices.Contains(rehearsal.Roles, config.Role) {
		return config, plan.Fail(plan.KindUsage, "give superuser, bare, documented or service", "there is no role %q to rehearse with", config.Role)
	}
	if !slices.Contains(rehearsal.Poolers, config.Pooler) {
		return config, plan.Fail(plan.KindUsage, "give none or pgbouncer", "there is no pooler %q to rehearse with", config.Pooler)
	}
	if config.Floors > 0 && config.Pooler == rehearsal.PoolerNone {
		return config, plan.Fail(plan.KindUsage, "add --pooler pgbouncer", "--floors needs a pooler that can be paused")
	}
	if config.Source == "" && config.From >= config.To {
		return config, plan.Fail(plan.KindUsage, "give the old major with --from and the newer one with --to", "an upgrade from %d to %d leads nowhere", config.From, config.To)
	}
	if config.Rate <= 0 || config.ReadRate <= 0 || config.Clients <= 0 || config.Duration <= 0 || config.Interval <= 0 {
		return config, plan.Fail(plan.KindUsage, "a rehearsal without load proves nothing", "--rate, --read-rate, --clients, --duration and --interval must be positive")
	}
	return config, nil
}

func runRehearsal(ctx context.Context, config rehearsal.Config, asJSON bool, out io.Writer) error {
	verdict, err := rehearsal.Run(ctx, config)
	if err != nil {
		return fmt.Errorf("the rehearsal itself broke, which is never a pass: %w", err)
	}
	write := verdict.WriteText
	if asJSON {
		write = verdict.WriteJSON
	}
	if err := write(out); err != nil {
		return err
	}
	if !verdict.Passed() {
		return errRehearsal
	}
	return nil
}

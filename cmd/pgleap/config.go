package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pgleap/internal/pg"
	"pgleap/internal/pipeline"
	"pgleap/internal/ui"
	"pgleap/plan"
)

// point is told at every instruction; only the tests set it, to die there.
var point func(string)

func addressFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "source", Usage: "the server that is left: a libpq `URI` or keyword string [$PGLEAP_SOURCE]"},
		&cli.StringFlag{Name: "target", Usage: "the server that takes over: a libpq `URI` or keyword string [$PGLEAP_TARGET]"},
		&cli.StringFlag{Name: "source-from-target", Usage: "where the target reaches the source, when not at the same address: `HOST:PORT`, URI or keyword string [$PGLEAP_SOURCE_FROM_TARGET]"},
		&cli.StringFlag{Name: "target-from-source", Usage: "where the source reaches the target, for the way back, when not at the same address: `HOST:PORT`, URI or keyword string [$PGLEAP_TARGET_FROM_SOURCE]"},
		&cli.StringFlag{Name: "run", Usage: "the `NAME` of the upgrade (default: the source database's name)"},
	}
}

func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "machine-readable output on stdout"},
		&cli.BoolFlag{Name: "no-progress", Usage: "lines instead of a bar"},
		&cli.BoolFlag{Name: "verbose", Usage: "log every statement that changes a server to stderr"},
	}
}

func planFlags() []cli.Flag {
	return join([]cli.Flag{
		&cli.StringSliceFlag{Name: "schemas", Usage: "only these `SCHEMAS`, comma-separated or repeated"},
		&cli.StringSliceFlag{Name: "tables", Usage: "only these `TABLES`; * and ? match, \"Quoted.Names\" are taken as they are"},
		&cli.StringSliceFlag{Name: "exclude-tables", Usage: "leave these `TABLES` out"},
		&cli.BoolFlag{Name: "all-tables", Usage: "publish FOR ALL TABLES instead of each by name (needs a superuser)"},
		&cli.BoolFlag{Name: "same-major", Usage: "allow a target of the same major"},
		&cli.StringFlag{Name: "pg-dump", Usage: "the pg_dump to use: a `COMMAND` line (default: the newest that is found)"},
		&cli.DurationFlag{Name: "slot-timeout", Value: 5 * time.Minute, Usage: "how long the slot's creation may wait for open transactions"},
		&cli.StringFlag{Name: "copy", Value: copyAuto, Usage: "the first copy: `WAY` is server (PostgreSQL's own, from server to server), stream (many streams through this machine at one snapshot, keys built afterwards), or auto (the plan chooses, and says why)"},
		&cli.IntFlag{Name: "copy-jobs", DefaultText: "one stream for each processor of the source, 2 to 4, one less where clients write to it; as many tables as the target's max_sync_workers_per_subscription", Usage: "streams of --copy stream at a time, or tables of --copy server (which needs a superuser on the target)"},
		&cli.Int64Flag{Name: "copy-split", DefaultText: "64; a table of no more than a stream's share in one go", Usage: "how many `MIB` of a table a stream takes at a time (source 14 or newer)"},
		&cli.IntFlag{Name: "lanes", Usage: "follow the tables on `N` lanes, each with a slot and an apply worker of its own; what foreign keys tie shares one (default: as the source's write rate calls for, mostly one)"},
		&cli.IntFlag{Name: "jobs", Value: min(max(runtime.NumCPU(), 2), 8), Usage: "parallel index builds and ANALYZEs on the target"},
		&cli.StringSliceFlag{Name: "accept", Usage: "warnings of these checks (`IDS`) were read and accepted; it is recorded in plan, journal and report"},
		&cli.BoolFlag{Name: "set-replica-identity", Usage: "give tables without a usable replica identity one while they are published: a unique index, else FULL; put back at the end"},
		&cli.BoolFlag{Name: "roles", Usage: "create the roles that are missing on the target, with memberships, and passwords where they can be read"},
		&cli.BoolFlag{Name: "settings", Usage: "carry the settings of the database and of its roles over (ALTER DATABASE … SET, ALTER ROLE … SET)"},
		&cli.BoolFlag{Name: "refresh-matviews", Usage: "refresh the materialized views once more at each cutover, before writes stop"},
		&cli.BoolFlag{Name: "copy-in-switch", Usage: "copy what cannot be published while writes stand still: unlogged tables, tables without a usable identity, large objects"},
		&cli.BoolFlag{Name: "no-way-back", Usage: "leave the way back out: the old server does not follow the new one, and pgleap rollback is not possible"},
		fenceFlag(),
		marginFlag(),
		stallFlag(),
	}, limitFlags())
}

func trialFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "trial-load", Value: string(pipeline.TrialAuto),
		Usage: "load the definitions into a scratch database of the target for trial: `HOW` is auto (of very many, one of each shape), full, or none",
	}
}

func marginFlag() cli.Flag {
	return &cli.Int64Flag{Name: "sequence-margin", Usage: "values that every sequence skips at the switch, in its own direction; at most 1 % of what it has left"}
}

func stallFlag() cli.Flag {
	return &cli.DurationFlag{Name: "max-write-stall", Value: 5 * time.Second, Usage: "when writes have waited this long everything is undone and the source is writable again"}
}

func join(groups ...[]cli.Flag) []cli.Flag {
	var out []cli.Flag
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// session is what every verb works with: where to, and how to show it.
type session struct {
	pipeline.Config
	printer ui.Printer
	json    bool
	verb    string
}

// needs are the servers without which a verb cannot do. One that is not needed for finalize is gone for good: its
// address is not even read.
type needs struct{ source, target bool }

// given tells whether there is an address of the side.
func given(c *cli.Context, side plan.Side) bool {
	return c.String(string(side)) != "" || env("PGLEAP_"+strings.ToUpper(string(side))) != ""
}

// newSession reads the flags that the verbs share. needTarget is false only for abort, which takes one that is given.
func newSession(c *cli.Context, needTarget bool) (*session, error) {
	return newSessionOf(c, needs{source: true, target: needTarget || given(c, plan.Target)})
}

func newSessionOf(c *cli.Context, n needs) (*session, error) {
	s := &session{verb: c.Command.Name, json: c.Bool("json")}
	o := ui.Detect(os.Stdout, os.Stderr, os.Getenv)
	o.Stdout, o.JSON = c.App.Writer, s.json
	o.NoProgress = o.NoProgress || c.Bool("no-progress")
	s.printer = ui.New(o)
	level := slog.LevelWarn
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	s.Config = pipeline.Config{
		Verb: s.verb, Tool: "pgleap " + version, PgDump: c.String("pg-dump"), TrialLoad: pipeline.TrialLoad(c.String("trial-load")), Emit: s.printer.Event,
		Log: slog.New(s.printer.LogHandler(level)), Point: point,
		Options: plan.Options{
			Schemas: list(c, "schemas"), Tables: list(c, "tables"), ExcludeTables: list(c, "exclude-tables"), AllTables: c.Bool("all-tables"),
			SequenceMargin: c.Int64("sequence-margin"), MaxWriteStall: c.Duration("max-write-stall"), SlotTimeout: c.Duration("slot-timeout"),
			Jobs: c.Int("jobs"), Copy: chosenCopy(c), CopyJobs: c.Int("copy-jobs"), CopySplit: c.Int64("copy-split") << 20, Lanes: c.Int("lanes"), SameMajor: c.Bool("same-major"), Accept: list(c, "accept"),
			SetReplicaIdentity: c.Bool("set-replica-identity"), Roles: c.Bool("roles"), Settings: c.Bool("settings"),
			RefreshMatViews: c.Bool("refresh-matviews"), CopyInSwitch: c.Bool("copy-in-switch"), Fence: fence(c),
			NoWayBack: c.Bool("no-way-back"),
		},
	}
	if err := limits(c, &s.Options); err != nil {
		return nil, err
	}
	if err := s.addresses(c, n); err != nil {
		return nil, err
	}
	if err := s.traffic(c); err != nil {
		return nil, err
	}
	return s, s.validate(c)
}

func (s *session) addresses(c *cli.Context, n needs) error {
	var err error
	if n.source {
		if s.Source, err = address("source", c.String("source"), env("PGLEAP_SOURCE")); err != nil {
			return err
		}
	}
	if n.target {
		if s.Target, err = address("target", c.String("target"), env("PGLEAP_TARGET")); err != nil {
			return err
		}
	}
	if from := first(c.String("source-from-target"), env("PGLEAP_SOURCE_FROM_TARGET")); from != "" && n.source {
		if s.SourceFromTarget, err = s.Source.SeenAt(from); err != nil {
			return &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("--source-from-target: %w", err)}
		}
	}
	if to := first(c.String("target-from-source"), env("PGLEAP_TARGET_FROM_SOURCE")); to != "" && !s.Target.IsZero() {
		if s.TargetFromSource, err = s.Target.SeenAt(to); err != nil {
			return &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("--target-from-source: %w", err)}
		}
	}
	s.Run = plan.RunID(c.String("run"))
	if s.Run == "" && n.source { // else the target knows it
		s.Run = runName(s.Source.Database())
	}
	return nil
}

func (s *session) validate(c *cli.Context) error {
	if err := s.Run.Valid(); err != nil && !s.Source.IsZero() {
		return &plan.Failure{Kind: plan.KindUsage, Err: err}
	}
	if c.IsSet("max-write-stall") && s.Options.MaxWriteStall < 50*time.Millisecond {
		return plan.Fail(plan.KindUsage, "give at least 50ms", "--max-write-stall %s leaves no time for a switch", s.Options.MaxWriteStall)
	}
	if s.Options.SequenceMargin < 0 {
		return plan.Fail(plan.KindUsage, "the margin goes in the sequence's own direction: give a positive number", "--sequence-margin %d is negative", s.Options.SequenceMargin)
	}
	if c.IsSet("slot-timeout") && s.Options.SlotTimeout <= 0 {
		return plan.Fail(plan.KindUsage, "give at least 1s", "--slot-timeout %s leaves no time to wait", s.Options.SlotTimeout)
	}
	if l := s.TrialLoad; l != "" && l != pipeline.TrialAuto && l != pipeline.TrialFull && l != pipeline.TrialNone {
		return plan.Fail(plan.KindUsage, "give auto, full or none", "--trial-load %q is not known", string(l))
	}
	if err := fenceKnown(s.Options.Fence); err != nil {
		return err
	}
	if err := accepted(s.Options.Accept); err != nil {
		return err
	}
	if way := s.Options.Copy; way != "" && way != plan.CopyServer && way != plan.CopyStream {
		return plan.Fail(plan.KindUsage, "give server, stream or auto", "--copy %s", way)
	}
	if c.IsSet("copy-jobs") && s.Options.CopyJobs < 1 {
		return plan.Fail(plan.KindUsage, "give at least 1", "--copy-jobs %d", s.Options.CopyJobs)
	}
	if c.IsSet("copy-split") && s.Options.CopySplit < 1 {
		return plan.Fail(plan.KindUsage, "give at least 1", "--copy-split %d", c.Int64("copy-split"))
	}
	if n := s.Options.Lanes; c.IsSet("lanes") && (n < 1 || n > plan.MostLanes) {
		return plan.Fail(plan.KindUsage, fmt.Sprintf("give 1 to %d", plan.MostLanes), "--lanes %d", n)
	}
	if s.Options.Lanes > 1 && s.Options.AllTables {
		return plan.Fail(plan.KindUsage, "leave one of them out", "--lanes %d and --all-tables: a publication FOR ALL TABLES is one lane", s.Options.Lanes)
	}
	if c.IsSet("jobs") && s.Options.Jobs < 1 {
		return plan.Fail(plan.KindUsage, "give at least 1", "--jobs %d", s.Options.Jobs)
	}
	return nil
}

// accepted refuses what is not the id of a check that can warn.
func accepted(ids []string) error {
	for _, id := range ids {
		if !slices.ContainsFunc(plan.Checks(), func(k plan.CheckInfo) bool { return k.ID == id }) {
			return plan.Fail(plan.KindUsage, "pgleap explain lists the checks", "--accept %s: there is no such check", id)
		}
	}
	return nil
}

func address(side, flag, variable string) (pg.Address, error) {
	text := first(flag, variable)
	if text == "" {
		return pg.Address{}, plan.Fail(plan.KindUsage, fmt.Sprintf("give --%s postgres://user@host:5432/database, or set PGLEAP_%s", side, strings.ToUpper(side)), "no address of the %s", side)
	}
	a, err := pg.ParseAddress(text)
	if err != nil {
		return pg.Address{}, &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("the address of the %s: %w", side, err)}
	}
	return a, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// list splits at commas outside of double quotes: a name may hold one.
func list(c *cli.Context, name string) []string {
	var out []string
	for _, v := range c.StringSlice(name) {
		quoted, start := false, 0
		for i, r := range v + "," {
			switch {
			case r == '"':
				quoted = !quoted
			case r == ',' && (!quoted || i == len(v)):
				if part := strings.TrimSpace(v[start:i]); part != "" {
					out = append(out, part)
				}
				start = i + 1
			}
		}
	}
	return out
}

// runName makes a slot's name of a database's: what may not stand in one becomes an underscore.
func runName(database string) plan.RunID {
	out := []rune{}
	for _, c := range strings.ToLower(database) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			c = '_'
		}
		out = append(out, c)
	}
	if len(out) > 40 {
		out = out[:40]
	}
	return plan.RunID(out)
}

// finish closes the display, and with --json says how it ended.
func (s *session) finish(err error) error {
	s.printer.Close(err != nil)
	if !s.json {
		return err
	}
	data := map[string]any{"verb": s.verb, "exit": exitCode(err)}
	if err != nil {
		data["error"] = err.Error()
	}
	var blocked *pipeline.BlockedError
	if errors.As(err, &blocked) {
		data["findings"] = blocked.Plan.Findings
	}
	s.printer.Event(plan.Event{Kind: plan.EventResult, Time: time.Now(), Data: data})
	return err
}

const copyAuto = "auto"

// chosenCopy is what --copy says; "" leaves it to the plan.
func chosenCopy(c *cli.Context) plan.CopyWay {
	if way := c.String("copy"); way != copyAuto {
		return plan.CopyWay(way)
	}
	return ""
}

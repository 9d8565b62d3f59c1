// Package rehearsal carries an upgrade through on two servers while clients write, and judges it by what the
// clients were told: each acknowledged commit must be on the new server, once.
//
// Tests use it, and `pgleap rehearse`. It drives the tool as a process, the user's way, and believes nothing
// that the tool says but the moment of the release.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pgleap/testdata"
)

// Config says what to rehearse. The zero value of a field not marked otherwise is a useful one.
type Config struct {
	From, To       int               // majors of the servers to start; needed unless servers are given
	Folder         string            // of server programs, searched first
	Settings       map[string]string // of the servers to start, over the rehearsal's own
	Source, Target string            // two given servers: URIs of superusers, of empty databases

	Scenario    string // "shop" when empty
	ScenarioDir fs.FS  // a folder per scenario; nil: those that pgleap carries
	Scale       int    // of the scenario's big tables

	Rate     float64       // transactions per second, all clients together
	ReadRate float64       // reads per second, all readers together; 100 when 0
	Clients  int           // that write
	Readers  int           // 0: one for 50 reads a second; less than 0: none
	Duration time.Duration // of the load around the switch: half before, half after
	Seed     int64
	Budget   Budget

	Report string // folder for verdict, ledger and logs; "" is none
	Keep   bool   // when all is judged, tell Out the verdict and where the servers are, and wait for ctx to end

	Tool    []string // the command that runs pgleap; needed
	ToolEnv []string // further environment for it
	With    []string // flags for its check, plan and sync, such as --set-replica-identity
	Fence   string   // given to sync with --fence; the tool's own choice when empty

	Role   Role  // as whom the tool connects; a superuser when empty
	Margin int64 // given with --sequence-margin; over 0, some clients call nextval ahead of their writes
	Retry  int   // how often a command that died by a signal is run again

	Pooler   Pooler        // through which clients go; none when empty
	Direct   int           // writers beside the Clients that go round the pooler; 0: one of each role; less than 0: none
	Trips    int           // there and back so often under load, before the switch that stays
	Rollback bool          // without Trips: the switch is followed by the one back and by abort, not by finalize
	Interval time.Duration // of load between two switches; two seconds when 0
	Floors   int           // how often each of the floors is measured before the first switch; needs a pooler

	// By is what makes the switch. What anything but the tool leaves over is for the servers' end to remove: set
	// SkipFinalize.
	By Means
	// Between holds what tests do at a point: HookSynced, HookReleased, HookFinalized.
	Between      map[string]func(context.Context, *Stage) error
	SkipFinalize bool
	Out          func(line string) // progress, for people
}

// Means is what makes the switch.
type Means string

// The means.
const (
	ByTool       Means = ""           // the tool's cutover and rollback
	ByStatements Means = "statements" // those of ByHand: the floor
	ByPublished  Means = "published"  // the procedure that is published for the best-known open tool: the baseline
)

// The points at which hooks run.
const (
	HookSynced    = "synced"    // sync is done, the load runs, cutover not begun
	HookReleased  = "released"  // cutover is done, the load runs on the new server
	HookFinalized = "finalized" // finalize is done, the load has ended
)

func (c Config) withDefaults() (Config, error) {
	if len(c.Tool) == 0 {
		return c, errors.New("rehearse: no command for the tool")
	}
	if c.ScenarioDir == nil {
		c.ScenarioDir = testdata.Scenarios()
	}
	for _, d := range []struct {
		value *int
		zero  int
	}{{&c.Scale, 1}, {&c.Clients, 16}, {&c.Direct, len(writerRoles)}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.ReadRate <= 0 {
		c.ReadRate = 100
	}
	if c.Readers == 0 {
		c.Readers = max(2, int(c.ReadRate/50))
	}
	if c.Pooler == "" {
		c.Pooler = PoolerNone
	}
	if c.Pooler == PoolerNone {
		c.Direct = 0 // all are
	}
	c.Readers, c.Direct = max(c.Readers, 0), max(c.Direct, 0)
	if c.Interval <= 0 {
		c.Interval = 2 * time.Second
	}
	if c.Role == "" {
		c.Role = RoleSuperuser
	}
	if c.Scenario == "" {
		c.Scenario = "shop"
	}
	if c.Rate <= 0 {
		c.Rate = 500
	}
	if c.Duration <= 0 {
		c.Duration = 20 * time.Second
	}
	if c.Budget.WriteStall <= 0 {
		c.Budget.WriteStall = time.Second
	}
	if c.Seed == 0 {
		c.Seed = time.Now().UnixNano() % 1_000_000
	}
	if c.Out == nil {
		c.Out = func(string) {}
	}
	return c, nil
}

// Run rehearses. An error says that the rehearsal itself broke, or that the tool gave up: never a pass,
// whatever the verdict that comes with it holds.
func Run(ctx context.Context, c Config) (v Verdict, err error) {
	start := time.Now()
	c, err = c.withDefaults()
	if err != nil {
		return Verdict{}, err
	}
	if c.Report != "" {
		if err := os.MkdirAll(c.Report, 0o755); err != nil {
			return Verdict{}, fmt.Errorf("make the report's folder: %w", err)
		}
	}
	c.Out(fmt.Sprintf("starting PostgreSQL %d and %d, scenario %s", c.From, c.To, c.Scenario))
	s, err := newStage(ctx, c)
	if err != nil {
		return Verdict{}, fmt.Errorf("prepare the rehearsal: %w", err)
	}
	defer func() {
		if c.Keep {
			err = errors.Join(err, s.keep(ctx, v))
			return
		}
		err = errors.Join(err, s.close(ctx))
	}()
	w := &walk{stage: s, config: c}
	w.verdict = Verdict{
		From: s.Source.Version, To: s.Target.Version, Scenario: c.Scenario, Seed: c.Seed, Clients: c.Clients,
		Readers: c.Readers, Rate: c.Rate, ReadRate: c.ReadRate, Pooler: c.Pooler, Budget: c.Budget, Report: c.Report,
	}
	err = w.run(ctx)
	w.verdict.Seconds = time.Since(start).Seconds()
	if err != nil {
		return w.verdict, errors.Join(fmt.Errorf("rehearse: %w", err), w.logsToReport())
	}
	return w.verdict, w.report(ctx)
}

// keep says where the servers are and waits; the passwords stand in a file that only its owner reads.
func (s *Stage) keep(ctx context.Context, v Verdict) error {
	var text strings.Builder
	if err := v.WriteText(&text); err != nil {
		return errors.Join(err, s.close(ctx))
	}
	s.config.Out(text.String())
	f, err := os.CreateTemp("", "pgleap-rehearsal-*.env") // mode 0600
	if err != nil {
		return fmt.Errorf("write the addresses: %w", err)
	}
	_, err = fmt.Fprintf(f, "PGLEAP_SOURCE=%s\nPGLEAP_TARGET=%s\n", s.Source.URI, s.Target.URI)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the addresses: %w", err)
	}
	s.config.Out(fmt.Sprintf("kept: source %s, target %s; the addresses with passwords are in %s; interrupt to end them",
		s.Source.address, s.Target.address, f.Name()))
	<-ctx.Done()
	return errors.Join(os.Remove(f.Name()), s.close(ctx))
}

// report judges the secrets last, over everything that was printed and written, and writes the verdict.
func (w *walk) report(ctx context.Context) error {
	if err := w.logsToReport(); err != nil {
		return err
	}
	if err := w.writeVerdict(); err != nil {
		return err
	}
	if err := w.judgeSecrets(ctx); err != nil {
		return err
	}
	w.verdict.Passes = w.verdict.Passed()
	return w.writeVerdict()
}

func (w *walk) writeVerdict() error {
	if w.config.Report == "" {
		return nil
	}
	for name, write := range map[string]func(*os.File) error{
		"verdict.json": func(f *os.File) error { return w.verdict.WriteJSON(f) },
		"verdict.txt":  func(f *os.File) error { return w.verdict.WriteText(f) },
		"junit.xml":    func(f *os.File) error { return w.verdict.WriteJUnit(f) },
	} {
		f, err := os.Create(filepath.Join(w.config.Report, name))
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// logsToReport writes what was printed by the tool, the clients' ledger and the servers' logs.
func (w *walk) logsToReport() error {
	if w.config.Report == "" {
		return nil
	}
	var errs []error
	for i, o := range w.stage.tool.printed() {
		if o.Text != "" {
			errs = append(errs, os.WriteFile(filepath.Join(w.config.Report, fmt.Sprintf("tool-%02d.log", i)), []byte("# "+o.Name+"\n"+o.Text), 0o644))
		}
	}
	logs, err := w.stage.logs()
	errs = append(errs, err)
	for _, o := range logs {
		name := strings.TrimPrefix(o.Name, "the log of the ") + ".log"
		errs = append(errs, os.WriteFile(filepath.Join(w.config.Report, name), []byte(o.Text), 0o644))
	}
	if w.load != nil {
		errs = append(errs, w.load.record.write(filepath.Join(w.config.Report, "ledger.ndjson")))
	}
	return errors.Join(errs...)
}

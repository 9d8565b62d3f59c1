package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/urfave/cli/v2"

	"pgleap/plan"
)

// limitFlags say how much of the source the copy may take.
func limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "max-copy-rate", Usage: "how many `MIB` a second the first copy may read, 0 is any; with --copy server it is kept between tables, one that has begun is not slowed down (and it needs a superuser on the target)"},
		&cli.StringFlag{Name: "max-retained-wal", Usage: "where the source keeps more WAL than this `SIZE`, such as 20GB, for a slot of ours, the run is given up and taken back, 0 is never; watched while pgleap sync runs, from half of it on it warns, from three quarters on it holds back what can wait"},
		&cli.StringFlag{Name: "max-standby-lag", DefaultText: "1GB", Usage: "where a standby of the source is farther behind than this `SIZE` the first copy pauses until it is under half of it, 0 is never"},
	}
}

// limits reads them: 0 is not said, and below 0 is none.
func limits(c *cli.Context, o *plan.Options) error {
	if c.IsSet("max-copy-rate") {
		text := c.String("max-copy-rate")
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(rate) || rate < 0 || rate > math.MaxInt64>>21 || rate > 0 && rate < 1.0/1024 {
			return plan.Fail(plan.KindUsage, "give MiB per second as a plain number, such as 50; 0 is any", "--max-copy-rate %q is no rate", text)
		}
		o.MaxCopyRate = spoken(int64(rate * (1 << 20)))
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"max-retained-wal", &o.MaxRetainedWAL}, {"max-standby-lag", &o.MaxStandbyLag}} {
		if !c.IsSet(f.name) {
			continue
		}
		n, err := plan.ParseBytes(c.String(f.name))
		if err != nil {
			return &plan.Failure{Kind: plan.KindUsage, Err: fmt.Errorf("--%s: %w", f.name, err)}
		}
		if *f.to = spoken(n); n > 0 && n < 1<<20 {
			return plan.Fail(plan.KindUsage, "give at least 1MB, or 0 for none", "--%s %s is less than anything that is written at once", f.name, c.String(f.name))
		}
	}
	return nil
}

// spoken tells a limit of 0 from one that was not given.
func spoken(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

package rehearsal

import (
	"os"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
)

func TestZZLoad(t *testing.T) {
	f, _ := os.Create("/tmp/harness-cpu.prof")
	pprof.StartCPUProfile(f)
	defer pprof.StopCPUProfile()
	rate := 1000.0
	if r, err := strconv.ParseFloat(os.Getenv("RATE"), 64); err == nil {
		rate = r
	}
	c := smallConfig("")
	c.From, c.To = 13, 18
	c.Pooler, c.Rate, c.ReadRate, c.Clients, c.Readers = PoolerPgBouncer, rate, rate, 32, 0
	c.Duration, c.By, c.SkipFinalize, c.Floors = 12*time.Second, ByStatements, true, 3
	if b := os.Getenv("BY"); b != "" {
		c.By = Means(b)
	}
	if n, err := strconv.Atoi(os.Getenv("TRIPS")); err == nil {
		c.Trips, c.By, c.SkipFinalize = n, ByTool, n != 0
		c.Rollback = n == 0
		c.ToolEnv = []string{standinVariable + "=back"}
	}
	_, red := rehearse(t, c)
	t.Log(red)
}

package pipeline

import (
	"fmt"
	"strconv"
	"strings"

	"pgleap/internal/pgver"
	"pgleap/plan"
)

// loadSettings are what sessions set that build indexes: for themselves alone, and for as long as they live.
//
// What commits asynchronously is lost with its record in the journal when the server crashes, and done again; a later
// commit that is waited for covers it.
func loadSettings(target plan.Facts, o plan.Options) string {
	settings := []string{"set synchronous_commit = off"}
	if target.Role.Superuser {
		settings = append(settings, impatient)
	}
	if memory := maintenanceMemory(target, o); memory > 0 {
		settings = append(settings, fmt.Sprintf("set maintenance_work_mem = '%dMB'", memory>>20))
	}
	if workers, known := maintenanceWorkers(target, o); known {
		settings = append(settings, fmt.Sprintf("set max_parallel_maintenance_workers = %d", workers))
	}
	return strings.Join(settings, ";\n") + ";"
}

// impatient ends an autovacuum that holds a lock we wait for: it gives way when the waiter looks for a deadlock, which is
// after a second by default. Tables that were just filled have one on them more often than not. For superusers only.
const impatient = "set deadlock_timeout = '20ms'"

const (
	// mostMaintenance: more makes sorts no faster, it makes them miss the processor's caches. Measured with 4 million rows and
	// five indexes, one of them GIN: 256 MB 27.7 s, 1.5 GB 28.7 s.
	mostMaintenance = 256 << 20
	shareOfMemory   = 8        // that all index builds together may take
	buffersOfMemory = 4        // shared_buffers is about that share of a server's memory, where nobody can look
	leastWorkMem    = 64 << 20 // PostgreSQL's own default
)

// maintenanceMemory is in bytes; 0 leaves the server's own setting.
func maintenanceMemory(target plan.Facts, o plan.Options) int64 {
	memory := target.Cluster.MemoryBytes
	if memory == 0 {
		pages, _ := strconv.ParseInt(target.Settings["shared_buffers"], 10, 64)
		memory = pages * 8192 * buffersOfMemory
	}
	own, _ := strconv.ParseInt(target.Settings["maintenance_work_mem"], 10, 64) // kB
	each := min(memory/shareOfMemory/int64(max(o.Jobs, 1)), mostMaintenance) >> 20 << 20
	if each <= max(own<<10, leastWorkMem) {
		return 0
	}
	return each
}

// maintenanceWorkers help one index build; those of all builds together shall not be more than there are processors.
func maintenanceWorkers(target plan.Facts, o plan.Options) (n int, known bool) {
	if target.Cluster.Processors == 0 || !target.Version.Has(pgver.ParallelIndexBuild) {
		return 0, false
	}
	return min(target.Cluster.Processors/max(o.Jobs, 1), 8), true
}

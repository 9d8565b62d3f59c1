package pipeline

import (
	"fmt"
	"strconv"
	"strings"

	"pgleap/internal/pgver"
	"pgleap/plan"
	"pgleap/schema"
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
	if build := buildSettings(target, o.Jobs, plan.Step{}); build != "" {
		settings = append(settings, build)
	}
	return strings.Join(settings, ";\n") + ";"
}

// impatient ends an autovacuum that holds a lock we wait for: it gives way when the waiter looks for a deadlock, which is
// after a second by default. Tables that were just filled have one on them more often than not. For superusers only.
const impatient = "set deadlock_timeout = '20ms'"

// Measured with 4 million rows, four btrees of one and two columns, one process each: 64 MB 10.7 s, 256 MB 11.8 s, 1.5 GB
// 12.2 s: sorts that outgrow the processor's caches are slower than merging what was sorted within them.
const (
	sortMemory    = 64 << 20  // PostgreSQL's own default
	mergeOrder    = 250       // parts that PostgreSQL merges in one go with sortMemory: one for each 256 kB of it
	otherMemory   = 256 << 20 // for gin and gist, which gather entries instead of sorting them
	mostMemory    = 1 << 30
	shareOfMemory = 8 // that all index builds together may take
	// buffersOfMemory: shared_buffers is about that share of a server's memory, where nobody can look.
	buffersOfMemory = 4
)

// buildSettings are what a session sets to do the step, where so many sessions build at a time; without a step, any one.
// Empty where what the server has is right.
func buildSettings(target plan.Facts, busy int, s plan.Step) string {
	busy = max(busy, 1)
	var settings []string
	processes := int64(1)
	if n := target.Cluster.Processors; n > 0 && target.Version.Has(pgver.ParallelIndexBuild) {
		processes = int64(min(max(n/busy, 1), 9)) // all builds together shall not be more of them than there are processors
		settings = append(settings, fmt.Sprintf("set max_parallel_maintenance_workers = %d", processes-1))
	}
	memory := target.Cluster.MemoryBytes
	if memory == 0 {
		pages, _ := strconv.ParseInt(target.Settings["shared_buffers"], 10, 64)
		memory = pages * 8192 * buffersOfMemory
	}
	wanted := max(sortMemory*processes, min(s.Weight/mergeOrder, mostMemory))
	if !schema.Sorts(s) {
		wanted = max(wanted, otherMemory)
	}
	own, _ := strconv.ParseInt(target.Settings["maintenance_work_mem"], 10, 64) // kB
	if each := min(wanted, memory/shareOfMemory/int64(busy)); each > own<<10 {
		settings = append(settings, fmt.Sprintf("set maintenance_work_mem = '%dMB'", each>>20))
	} else if s.ID != "" { // the step before may have set it
		settings = append(settings, "reset maintenance_work_mem")
	}
	return strings.Join(settings, ";\n")
}

package catalog

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
)

// Machine reads the memory in bytes and the processors that the server has; 0 where they cannot be read. Linux tells
// them in files that a superuser can read; a control group may allow less than the machine has.
func Machine(ctx context.Context, q pg.Querier, version pgver.Version) (memory int64, processors int) {
	if !version.Has(pgver.ReadsAnyFile) {
		return 0, 0
	}
	var superuser bool
	if err := q.QueryRow(ctx, "select rolsuper from pg_roles where rolname = current_user").Scan(&superuser); err != nil || !superuser {
		return 0, 0
	}
	read := func(file string) (text string) {
		if err := q.QueryRow(ctx, "select coalesce(pg_read_file($1, 0, 4096, true), '')", file).Scan(&text); err != nil {
			return ""
		}
		return strings.TrimSpace(text)
	}
	if m := memTotal.FindStringSubmatch(read("/proc/meminfo")); m != nil {
		memory, _ = strconv.ParseInt(m[1], 10, 64)
		memory <<= 10
	}
	if most, err := strconv.ParseInt(read("/sys/fs/cgroup/memory.max"), 10, 64); err == nil && (memory == 0 || most < memory) {
		memory = most
	}
	return memory, countProcessors(read("/sys/devices/system/cpu/online"))
}

var memTotal = regexp.MustCompile(`(?m)^MemTotal:\s+(\d+) kB`)

// countProcessors reads a list such as 0-3,8; 0 where it is none.
func countProcessors(list string) (n int) {
	for _, part := range strings.Split(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0
		}
		b := a
		if ranged {
			if b, err = strconv.Atoi(to); err != nil {
				return 0
			}
		}
		n += b - a + 1
	}
	return n
}

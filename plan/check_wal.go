package plan

import (
	"fmt"
	"time"
)

// Before anything is measured a first copy is taken to go at this speed: slow enough for most machines and
// networks, so that what is kept meanwhile is rather over- than underestimated.
const assumedCopySpeed = 20 << 20

// patience is how long the target may be away, or its workers stuck, before somebody has noticed and mended it:
// the source has to keep its WAL that long.
const patience = time.Hour

// littleWAL is less than one large statement may write.
const littleWAL = 1 << 30

// copyTime is how long the rows' first copy and the builds of their indexes take at the assumed speed.
func copyTime(in input) time.Duration {
	rows, indexes := in.sizes()
	return time.Duration(float64(rows+indexes) / assumedCopySpeed * float64(time.Second))
}

// sizes are the bytes of what is published, and of its indexes, as they are on the source.
func (in input) sizes() (rows, indexes int64) {
	for _, r := range in.selection.Published {
		rows, indexes = rows+r.Bytes, indexes+r.IndexBytes
	}
	return rows, indexes
}

func checkWALRetention(in input) []Finding {
	megabytes, ok := setting(in.source, "max_slot_wal_keep_size")
	var out []Finding
	if !ok || megabytes < 0 {
		f := unlimitedWAL(in.source.Cluster, ok)
		if limit := in.options.MaxRetainedWAL; limit > 0 {
			f.Fix = "pgleap sync gives the run up where a slot keeps more than " + HumanBytes(limit) + " (--max-retained-wal), while it runs; afterwards watch the retained WAL in pgleap status"
		}
		out = append(out, f)
	} else {
		out = append(out, limitedWAL(in, int64(megabytes)<<20)...)
	}
	if s, ok := setting(in.source, "idle_replication_slot_timeout"); ok && s > 0 {
		out = append(out, idleSlot(time.Duration(s)*time.Second))
	}
	return out
}

// unlimitedWAL is an info: not to lose the slot is what one wants during an upgrade, if somebody watches.
func unlimitedWAL(c ClusterFacts, known bool) Finding {
	f := Finding{
		Severity: Info, On: Source, Object: "max_slot_wal_keep_size",
		Problem: "nothing limits the WAL that a slot keeps\na target that stops following fills the source's disk",
		Fix:     "watch the retained WAL in pgleap status; when the target is lost for good, pgleap abort drops the slot",
	}
	if known {
		f.Problem = "max_slot_wal_keep_size is -1: nothing limits the WAL that a slot keeps\na target that stops following fills the source's disk"
	}
	if c.WALBytesPerSecond > 0 {
		f.Problem += fmt.Sprintf(", by %s an hour (%s)", HumanBytes(int64(c.WALBytesPerSecond*patience.Seconds())), c.WALBasis)
	}
	return f
}

func limitedWAL(in input, limit int64) []Finding {
	c, duration := in.source.Cluster, copyTime(in)+patience
	expected := int64(c.WALBytesPerSecond * duration.Seconds())
	f := Finding{Severity: Warning, On: Source, Object: "max_slot_wal_keep_size", Fix: "raise it for the time of the upgrade; a reload is enough"}
	switch {
	case expected > limit:
		f.Problem = fmt.Sprintf("max_slot_wal_keep_size is %s, and %s of WAL may come while the target copies, or is away (%s at %s/s: %s)\na slot beyond the limit is LOST, and the upgrade with it",
			HumanBytes(limit), HumanBytes(expected), HumanDuration(duration), HumanBytes(int64(c.WALBytesPerSecond)), c.WALBasis)
	case limit < littleWAL:
		f.Problem = fmt.Sprintf("max_slot_wal_keep_size is %s: one large statement, or index build, writes more\na slot beyond the limit is LOST, and the upgrade with it", HumanBytes(limit))
	default:
		return nil
	}
	gigabytes := max(2*expected, 10<<30)>>30 + 1
	f.SQL = fmt.Sprintf("alter system set max_slot_wal_keep_size = '%dGB'; select pg_reload_conf();", gigabytes)
	return []Finding{f}
}

func idleSlot(timeout time.Duration) Finding {
	f := Finding{
		Severity: Warning, On: Source, Object: "idle_replication_slot_timeout",
		Problem: fmt.Sprintf("idle_replication_slot_timeout is %s\na target that is away for longer loses its slot, and the upgrade ends", HumanDuration(timeout)),
		Fix:     "switch it off for the time of the upgrade; a reload is enough",
		SQL:     "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();",
	}
	if timeout >= 24*time.Hour {
		f.Severity = Info
	}
	return f
}

// Below it nobody has to think of room.
const worthRoom = 1 << 30

// manyCheckpoints is how often the first copy may force the target to checkpoint before it is worth a word.
const manyCheckpoints = 100

// checkCapacity says what is known: no SQL tells how much room a disk has.
func checkCapacity(in input) []Finding {
	rows, indexes := in.sizes()
	total := rows + indexes
	if total < worthRoom || in.resumed() {
		return nil
	}
	var largest Relation
	for _, r := range in.selection.Published {
		if r.Bytes >= largest.Bytes {
			largest = r
		}
	}
	out := []Finding{{
		Severity: Info, On: Target,
		Problem: fmt.Sprintf("the target will hold up to %s (%s of rows, %s of indexes; the largest table is %s with %s) and write about as much WAL\nwhat its disks have free no SQL tells",
			HumanBytes(total), HumanBytes(rows), HumanBytes(indexes), said(largest.Name), HumanBytes(largest.Bytes)),
		Fix: "see that the target has that much, and half as much again for its WAL and for sorting; and that its WAL archive, where it has one, takes it",
	}}
	return append(out, checkpointStorm(in.target, total)...)
}

// checkpointStorm: WAL forces a checkpoint about each time that half of max_wal_size has been written
// (CalculateCheckpointSegments: the other half is for what comes while the checkpoint runs).
func checkpointStorm(target Facts, total int64) []Finding {
	megabytes, ok := setting(target, "max_wal_size")
	if !ok || megabytes <= 0 {
		return nil
	}
	size := int64(megabytes) << 20
	n := total / (size / 2)
	if n <= manyCheckpoints {
		return nil
	}
	gigabytes := min(max(total/20>>30, 4), 64)
	return []Finding{{
		Severity: Warning, On: Target, Object: "max_wal_size",
		Problem: fmt.Sprintf("max_wal_size is %s: the first copy forces the target to about %d checkpoints, one after the other\nafter each every page is written to the WAL in full once more, which slows index builds and apply down", HumanBytes(size), n),
		Fix:     "raise it until the copy is done, where the disk has room for it; a reload is enough",
		SQL:     fmt.Sprintf("alter system set max_wal_size = '%dGB'; select pg_reload_conf();", gigabytes),
	}}
}

package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"pgleap/internal/journal"
	"pgleap/plan"
	pgsync "pgleap/sync"
)

// From these shares of a limit on the WAL that is kept it is told, the copy is held back, and it may go on again.
const (
	warnShare  = 0.5
	holdShare  = 0.75
	easedShare = 0.5
)

// standbyLag is how far a standby of the source may be behind where nothing is said.
const standbyLag = 1 << 30

// The limits on the WAL that is kept.
const (
	limitOurs    = "--max-retained-wal"
	limitServers = "max_slot_wal_keep_size"
)

// WALKept is the WAL that the source keeps for the slot of ours that is nearest to a limit.
type WALKept struct {
	Slot   string   `json:"slot"`
	Bytes  int64    `json:"retained_bytes"`
	Growth float64  `json:"retained_bytes_per_second"`
	Limit  int64    `json:"limit_bytes,omitempty"` // 0: there is none
	Of     string   `json:"limit,omitempty"`       // --max-retained-wal or max_slot_wal_keep_size
	Share  float64  `json:"share,omitempty"`       // of the limit
	Left   *float64 `json:"seconds_until_limit,omitempty"`
}

// nearest is the slot that is nearest to a limit, or where there is none the one that keeps most. The server's limit is
// counted in whole segments: what it says is left is what counts.
func nearest(slots []pgsync.Retained, ours int64) WALKept {
	var most WALKept
	for _, s := range slots {
		each := []WALKept{{Slot: s.Slot, Bytes: s.Bytes}}
		if ours > 0 {
			each = append(each, WALKept{Slot: s.Slot, Bytes: s.Bytes, Limit: ours, Of: limitOurs, Share: float64(s.Bytes) / float64(ours)})
		}
		if s.Safe != nil {
			limit := max(s.Bytes+*s.Safe, 1)
			each = append(each, WALKept{Slot: s.Slot, Bytes: s.Bytes, Limit: limit, Of: limitServers, Share: float64(s.Bytes) / float64(limit)})
		}
		for _, k := range each {
			if most.Slot == "" || cmp.Or(cmp.Compare(k.Share, most.Share), cmp.Compare(k.Bytes, most.Bytes), cmp.Compare(k.Limit, most.Limit)) > 0 {
				most = k
			}
		}
	}
	return most
}

// grows notes the growth, and when the limit is reached at that rate.
func (k *WALKept) grows(perSecond float64) {
	k.Growth = perSecond
	if k.Limit > 0 && perSecond > 0 {
		left := max(float64(k.Limit-k.Bytes)/perSecond, 0)
		k.Left = &left
	}
}

// String is it in a sentence.
func (k WALKept) String() string {
	text := fmt.Sprintf("slot %s keeps %s of WAL", k.Slot, plan.HumanBytes(k.Bytes))
	if k.Limit > 0 {
		text += ", " + k.share()
	}
	return text + k.trend()
}

func (k WALKept) share() string {
	return fmt.Sprintf("%.0f %% of %s (%s)", 100*k.Share, plan.HumanBytes(k.Limit), k.Of)
}

func (k WALKept) trend() string {
	switch {
	case k.Left != nil && *k.Left > 0:
		return fmt.Sprintf("; it grows by %s/s, and is there in %s", plan.HumanBytes(int64(k.Growth)), plan.HumanDuration(time.Duration(min(*k.Left, 1e9)*float64(time.Second))))
	case k.Growth < 0:
		return "; it shrinks"
	}
	return ""
}

func (k WALKept) data(reason string) map[string]any {
	return map[string]any{"reason": reason, "slot": k.Slot, "retained_bytes": k.Bytes, "retained_bytes_per_second": k.Growth, "limit_bytes": k.Limit, "share": k.Share}
}

// trend is what was read over the last minute.
type trend []struct {
	at    time.Time
	bytes int64
}

const trendTime = time.Minute

func (t *trend) read(at time.Time, bytes int64) {
	*t = append(*t, struct {
		at    time.Time
		bytes int64
	}{at, bytes})
	for len(*t) > 2 && at.Sub((*t)[1].at) >= trendTime {
		*t = (*t)[1:]
	}
}

// perSecond is 0 where nothing is known yet.
func (t trend) perSecond() float64 {
	if len(t) < 2 {
		return 0
	}
	first, last := t[0], t[len(t)-1]
	if took := last.at.Sub(first.at).Seconds(); took > 0 {
		return float64(last.bytes-first.bytes) / took
	}
	return 0
}

// limits are those of a run's options that the newest word changes.
type limits struct {
	MaxCopyRate    int64 `json:"max_copy_rate,omitempty"`
	MaxRetainedWAL int64 `json:"max_retained_wal,omitempty"`
	MaxStandbyLag  int64 `json:"max_standby_lag,omitempty"`
}

func limitsOf(o plan.Options) limits {
	return limits{o.MaxCopyRate, o.MaxRetainedWAL, o.MaxStandbyLag}
}

// over takes what is said from l, and what is not from the options.
func (l limits) over(o *plan.Options) {
	o.MaxCopyRate = cmp.Or(l.MaxCopyRate, o.MaxCopyRate)
	o.MaxRetainedWAL = cmp.Or(l.MaxRetainedWAL, o.MaxRetainedWAL)
	o.MaxStandbyLag = cmp.Or(l.MaxStandbyLag, o.MaxStandbyLag)
}

// readLimits puts the limits that were recorded last over those of the plan: a sync that is gone on with changes them,
// and status, on another machine, has to know.
func (r *run) readLimits(ctx context.Context) error {
	var last limits
	_, err := r.journal.Data(ctx, journal.Limits, "", &last)
	last.over(&r.Options)
	return err
}

// sayLimits takes those that are given now, and records them.
func (r *run) sayLimits(ctx context.Context, given plan.Options) error {
	if err := r.readLimits(ctx); err != nil {
		return err
	}
	before := limitsOf(r.Options)
	limitsOf(given).over(&r.Options)
	if err := r.mayHold(ctx); err != nil || limitsOf(r.Options) == before {
		return err
	}
	return r.journal.Record(ctx, journal.Limits, "", "", limitsOf(r.Options))
}

// keptBefore is the first of two looks at the WAL that is kept for each slot.
func (r *run) keptBefore(ctx context.Context) (map[string]*trend, error) {
	if err := r.readLimits(ctx); err != nil {
		return nil, err
	}
	slots, err := pgsync.ReadRetained(ctx, r.source, r.Run)
	kept := map[string]*trend{}
	for _, s := range slots {
		kept[s.Slot] = &trend{}
		kept[s.Slot].read(time.Now(), s.Bytes)
	}
	return kept, err
}

// keptNow is the second, and judges it.
func (r *run) keptNow(ctx context.Context, st *Status, before map[string]*trend) error {
	slots, err := pgsync.ReadRetained(ctx, r.source, r.Run)
	if err != nil || len(slots) == 0 {
		return err
	}
	kept := nearest(slots, r.Options.MaxRetainedWAL)
	if was := before[kept.Slot]; was != nil {
		was.read(time.Now(), kept.Bytes)
		kept.grows(was.perSecond())
	}
	st.Kept = &kept
	st.Problems = append(st.Problems, kept.problems()...)
	return nil
}

// problems are of a share of a limit that is worth a word.
func (k WALKept) problems() []Problem {
	p := Problem{Check: "wal-retention", Level: Warn, Text: k.String()}
	if p.Mend = "see what keeps the target behind: the apply worker, its disk, locks; " + limitServers + " can be raised by a reload"; k.Of == limitOurs {
		p.Mend = "see what keeps the target behind: the apply worker, its disk, locks. At the limit pgleap sync, where it runs, gives up; without it: pgleap abort"
	}
	switch {
	case k.Share >= 1:
		p.Level = Critical
	case k.Share < warnShare:
		return nil
	}
	return []Problem{p}
}

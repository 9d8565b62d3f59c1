package plan

// Totals are the numbers that a reviewer asks for first. Zero is "not known" but for counts.
type Totals struct {
	Tables     int   `json:"tables"`
	Bytes      int64 `json:"bytes"`       // rows that are copied, without indexes
	Indexes    int   `json:"indexes"`     // built after the copy
	IndexBytes int64 `json:"index_bytes"` // as they are on the source

	Copy    Estimate `json:"copy"`
	Index   Estimate `json:"index"`
	Analyze Estimate `json:"analyze"`
	Stall   Estimate `json:"stall"` // how long writes stand still at the switch

	RetainedWAL int64  `json:"retained_wal"`        // bytes that the source will keep until the target follows
	WALLimit    int64  `json:"wal_limit"`           // bytes it may keep: max_slot_wal_keep_size; -1 is no limit
	WALBasis    string `json:"wal_basis,omitempty"` // where RetainedWAL comes from
}

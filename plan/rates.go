package plan

// Rates are speeds that were measured on the two servers, for the estimates: rows of the largest tables were
// read from the source and written into a scratch database of the target.
type Rates struct {
	SourceRoundTrip float64 `json:"source_round_trip"` // seconds of a round trip from where pgleap runs
	TargetRoundTrip float64 `json:"target_round_trip"`
	Connect         float64 `json:"connect"` // seconds of a new session on the source

	Tables  []TableRate `json:"tables,omitempty"`
	Indexes []IndexRate `json:"indexes,omitempty"`

	// Copies at a time were CopySpeedup times as fast as one; the same for work on the target alone, such as
	// index builds. 0 is not measured.
	Copies      int     `json:"copies,omitempty"`
	CopySpeedup float64 `json:"copy_speedup,omitempty"`
	Jobs        int     `json:"jobs,omitempty"`
	JobSpeedup  float64 `json:"job_speedup,omitempty"`

	KeyRow float64 `json:"key_row,omitempty"` // seconds per row, of either table, to check a foreign key
	Notes  string  `json:"notes,omitempty"`   // why something could not be measured
}

// TableRate is what a sample of a table's rows took, one table at a time.
type TableRate struct {
	Table   Name    `json:"table"`
	Rows    int64   `json:"rows"`
	Bytes   int64   `json:"bytes"`   // as they are stored on the target
	Copy    float64 `json:"copy"`    // seconds, with the primary key kept up
	Analyze float64 `json:"analyze"` // seconds; 0 is not measured
}

// IndexRate is what an index took that was built over the sample of its table.
type IndexRate struct {
	Index   Name    `json:"index"`
	Table   Name    `json:"table"`
	Method  string  `json:"method"` // btree, gin …
	Seconds float64 `json:"seconds"`
}

package plan

// ClusterFacts is what a server holds besides the tables of this database. All of it is volatile.
type ClusterFacts struct {
	WALBytesPerSecond float64 `json:"wal_bytes_per_second,omitempty"` // 0 is not known
	WALBasis          string  `json:"wal_basis,omitempty"`            // over which time, such as "since 2 h ago"
}

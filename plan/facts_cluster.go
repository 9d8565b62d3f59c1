package plan

// ClusterFacts is what a server holds besides the tables of this database. All of it is volatile.
type ClusterFacts struct{}

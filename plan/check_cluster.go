package plan

// clusterChecks are about what surrounds the database on its two servers.
var clusterChecks = []check{}

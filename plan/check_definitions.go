package plan

// definitionChecks are about definitions that the new server treats differently, or that replication does.
var definitionChecks = []check{}

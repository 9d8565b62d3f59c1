package plan

// trialChecks judge what the trial load showed.
var trialChecks = []check{}

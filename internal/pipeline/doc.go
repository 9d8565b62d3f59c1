// Package pipeline walks the upgrade. Build is the table of contents: which stages there are, and in which
// order. The Walker takes a plan up to a stage, or down again.
//
// What holds, each with a test:
//
//  1. The journal decides between stages, the catalogs decide within one. (A recorded step's record commits
//     in one transaction with its statements: it is the catalog's own word.)
//  2. A step removes only what an earlier, journaled stage made.
//  3. After a step was done its probe says done.
//  4. What is needed to undo or resume is journaled before the act.
//  5. Every object of ours carries the run in its name or comment, pgleap_<run>.
//  6. Walking a finished plan does nothing.
//  7. On resume both system identifiers and the fingerprint match.
//  8. A fence LSN is never reused: every attempt fences and drains anew.
package pipeline

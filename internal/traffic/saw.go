package traffic

import (
	"context"
	"fmt"

	"pgleap/internal/pooler"
)

// Processes returns the server processes of the poolers' connections, those of entries that are not moved among them:
// the check pooler tells of these.
func (t *Traffic) Processes(ctx context.Context) ([]int32, error) {
	pids := []int32{}
	for _, n := range t.nodes {
		if n.err != nil {
			continue // the check says it
		}
		more, err := n.Processes(ctx, append(t.others(n), n.entry.Name)...)
		if err != nil {
			return nil, fmt.Errorf("list the connections of PgBouncer %s: %w", n.name, err)
		}
		pids = append(pids, more...)
	}
	return pids, nil
}

// Saw returns what the clients of each pooler have seen since its start, by the host:port of its console. A pooler that
// does not answer soon is left out: it is asked when the switch is about to begin.
func (t *Traffic) Saw(ctx context.Context) map[string]pooler.Stats {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	saw := map[string]pooler.Stats{}
	for _, n := range t.nodes {
		if n.err != nil {
			continue
		}
		if s, err := n.Stats(ctx, n.entry.Name); err == nil {
			saw[n.name] = s
		}
	}
	return saw
}

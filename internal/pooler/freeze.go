package pooler

import (
	"context"
	"strconv"
	"time"
)

// loginPatience bounds the wait for logins; they take milliseconds, and a hundred times that where processors are scarce.
const loginPatience = 3 * time.Second

// freeze lets no pool of the node grow, and waits until the logins that have begun at the entry's server are through, if
// they are soon. PAUSE cuts logins off, PgBouncer takes that for a server that refuses, and after RESUME it fails whoever
// asks before the first connection stands. Clients go on with the connections that there are, or wait for one.
//
// An entry with a max_db_connections of its own does not heed it: there the wait alone must do.
func (n *Node) freeze(ctx context.Context, db string) error {
	entries, err := n.command(ctx, "show databases")
	if err != nil {
		return err
	}
	var most int64 // 0 would be no limit at all; then nobody logs in, or the first one does
	for _, row := range entries {
		most = max(most, number(row["current_connections"]))
	}
	if most > 0 {
		n.set(&n.frozen, true)
		if _, err := n.command(ctx, "set max_db_connections = "+quoteValue(strconv.FormatInt(most, 10))); err != nil {
			return err
		}
	}
	return poll(ctx, func() (bool, error) {
		logins, err := n.logins(ctx, db)
		return logins == 0, err
	})
}

// thaw ends freeze. Should it fail, Close and a RESUME try again, and a RELOAD does the same.
func (n *Node) thaw() {
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	if !frozen {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	if _, err := n.command(ctx, n.thawCommand()); err == nil {
		n.set(&n.frozen, false)
	}
}

func (n *Node) thawCommand() string { return "set max_db_connections = " + quoteValue(n.limit) }

// freezeAll freezes the targets' nodes side by side. What goes wrong PAUSE meets as well, and names it.
func freezeAll(ctx context.Context, targets []Target) {
	patience := loginPatience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)/2) // the rest is for the transactions that run
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	each(targets, func(t Target) error { return t.Node.freeze(ctx, t.Database) })
}

package rehearsal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"pgleap/internal/pg"
)

// reader is a client that looks whether acknowledged rows are there.
type reader struct {
	client
	random *rand.Rand
}

func newReader(l *load, id int) *reader {
	r := &reader{random: rand.New(rand.NewPCG(uint64(l.config.Seed), uint64(1000+id)))}
	r.load, r.role, r.pooled = l, appRole, l.config.Pooler != PoolerNone
	return r
}

func (r *reader) serve(ctx context.Context, due time.Duration) error {
	k, ok := r.load.record.someAcked(r.random.IntN)
	if !ok {
		return nil
	}
	x := read{Due: due, Start: r.load.record.now()}
	err := r.connect(ctx)
	if err == nil {
		var rows [][]string
		rows, err = r.session.Script(ctx, fmt.Sprintf("select "+whoAnswers+" from ledger.entry where client = %d and n = %d", k.client, k.n))
		if len(rows) > 0 {
			r.answered(rows[0][0])
		}
		x.Side = r.on.Side
		if err == nil && len(rows) != 1 {
			x.Unseen = fmt.Sprintf("client %d, number %d: %d times", k.client, k.n, len(rows))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		x.Err = pg.Message(err)
	}
	x.End = r.load.record.now()
	r.load.record.addRead(x)
	return nil
}

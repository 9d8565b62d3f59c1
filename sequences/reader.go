package sequences

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// readEvery is how many sequences a session reads at a time beside others: 1,000 take 3 ms on a session that is warm,
// and two sessions take half of it as long as the server has processors to spare.
const (
	readEvery   = 1000
	mostReaders = 4
)

// Readers returns how many sessions read n sequences side by side.
func Readers(n int) int { return min(1+n/readEvery, mostReaders) }

// piece is how many sequences one prepared union asks: planning it grows faster than linearly.
const piece = 100

// share is what one session reads, warm: by number, because to look the names up takes as long as to read.
type share struct {
	session *pg.Source
	of      []plan.Sequence
	oids    []uint32
	index   map[uint32]int // into of
	plain   []uint32       // all but those
	pieces  int            // prepared unions, which ask the sequences that were not called yet: for either state
}

// shares divides the sequences among the sessions, and prepares what each will send.
func shares(ctx context.Context, sessions []*pg.Source, of []plan.Sequence) ([]*share, error) {
	if len(of) == 0 {
		return nil, nil
	}
	oids, err := oidsOf(ctx, sessions[0], of)
	if err != nil {
		return nil, err
	}
	var out []*share
	size := (len(of) + len(sessions) - 1) / len(sessions)
	for i := 0; i < len(of); i += size {
		end := min(i+size, len(of))
		s := &share{session: sessions[len(out)], of: of[i:end], oids: oids[i:end], plain: oids[i:end], index: map[uint32]int{}}
		for j, o := range s.oids {
			s.index[o] = j
		}
		out = append(out, s)
	}
	return out, each(out, func(s *share) error { return s.prepare(ctx) })
}

func each(all []*share, f func(*share) error) error {
	var group errgroup.Group
	for _, s := range all {
		group.Go(func() error { return f(s) })
	}
	return group.Wait()
}

// oidsOf returns the numbers of the sequences, in their order. One that is not there is an error.
func oidsOf(ctx context.Context, q pg.Querier, of []plan.Sequence) ([]uint32, error) {
	schemas, names := make([]string, len(of)), make([]string, len(of))
	for i, s := range of {
		schemas[i], names[i] = s.Name.Schema, s.Name.Name
	}
	var oids []*uint32
	if err := q.QueryRow(ctx, `select array_agg(c.oid order by u.i) from unnest($1::text[], $2::text[]) with ordinality u(s, n, i)
left join pg_namespace n on n.nspname = u.s left join pg_class c on c.relnamespace = n.oid and c.relname = u.n and c.relkind = 'S'`, schemas, names).Scan(&oids); err != nil {
		return nil, fmt.Errorf("look for the sequences: %w", err)
	}
	out := make([]uint32, len(oids))
	for i, o := range oids {
		if o == nil {
			return nil, fmt.Errorf("read the sequences: %s is not there", of[i].Name)
		}
		out[i] = *o
	}
	return out, nil
}

// prepare finds the sequences that were not called yet, and prepares the unions that ask them.
func (s *share) prepare(ctx context.Context) error {
	called, unclear, err := s.lastValues(ctx)
	if err != nil || s.session.Version().Has(pgver.SequenceData) {
		return err
	}
	for part := range slices.Chunk(unclear, piece) {
		if _, err := s.session.Exec(ctx, fmt.Sprintf("prepare pgleap_sequences_%d as %s", s.pieces, s.union(part))); err != nil {
			return fmt.Errorf("prepare to read the sequences: %w", err)
		}
		s.pieces++
	}
	s.plain = slices.Collect(maps.Keys(called))
	return nil
}

func (s *share) union(oids []uint32) string {
	parts := make([]string, len(oids))
	for i, o := range oids {
		parts[i] = fmt.Sprintf("select %d::oid, last_value, is_called from %s", o, s.of[s.index[o]].Name)
	}
	return strings.Join(parts, " union all ")
}

// SwitchStatement reads the positions of the sequences that were called, by their numbers.
const SwitchStatement = `select array_agg(o), array_agg(v) from (select o, pg_sequence_last_value(o) as v from unnest($1::oid[]) o) r`

// lastValues reads the positions of the sequences that were called, and says which were not.
func (s *share) lastValues(ctx context.Context) (map[uint32]Position, []uint32, error) {
	var oids []uint32
	var last []*int64
	if err := s.session.QueryRow(ctx, SwitchStatement, s.plain).Scan(&oids, &last); err != nil {
		return nil, nil, fmt.Errorf("read the sequences: %w", err)
	}
	out := make(map[uint32]Position, len(oids))
	var unclear []uint32
	for i, o := range oids {
		if last[i] == nil {
			unclear = append(unclear, o)
			continue
		}
		out[o] = Position{Last: *last[i], Called: true}
	}
	return out, unclear, nil
}

// read reads every position of the share.
func (s *share) read(ctx context.Context) (map[uint32]Position, error) {
	out, unclear, err := s.lastValues(ctx)
	if err != nil {
		return nil, err
	}
	for n := range s.pieces {
		if err := s.scan(ctx, out, fmt.Sprintf("execute pgleap_sequences_%d", n)); err != nil {
			return nil, err
		}
	}
	if len(unclear) > 0 && s.session.Version().Has(pgver.SequenceData) {
		return out, s.scan(ctx, out, `select o, d.last_value, d.is_called from unnest($1::oid[]) o, pg_get_sequence_data(o) d`, unclear)
	}
	for part := range slices.Chunk(unclear, piece) { // set back since
		if err := s.scan(ctx, out, s.union(part)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scan adds what the query tells. A sequence that may not be read tells nothing.
func (s *share) scan(ctx context.Context, out map[uint32]Position, sql string, args ...any) error {
	rows, err := s.session.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("read the sequences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o uint32
		var last *int64
		var called *bool
		if err := rows.Scan(&o, &last, &called); err != nil {
			return fmt.Errorf("read the sequences: %w", err)
		}
		if last == nil || called == nil {
			return fmt.Errorf("read the sequences: %s: %w", s.of[s.index[o]].Name, errNotReadable)
		}
		out[o] = Position{Last: *last, Called: *called}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the sequences: %w", err)
	}
	return nil
}

var errNotReadable = errors.New("it may not be read: grant select on it")

// readShares reads all shares side by side.
func readShares(ctx context.Context, all []*share) (map[plan.Name]Position, error) {
	n := 0
	found := make([]map[uint32]Position, len(all))
	place := map[*share]int{}
	for i, s := range all {
		place[s] = i
		n += len(s.of)
	}
	if err := each(all, func(s *share) (err error) {
		found[place[s]], err = s.read(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	out := make(map[plan.Name]Position, n)
	for i, s := range all {
		for j, o := range s.oids {
			p, there := found[i][o]
			if !there { // to leave one out in silence would hand its values out twice
				return nil, fmt.Errorf("read the sequences: %s was not read", s.of[j].Name)
			}
			out[s.of[j].Name] = p
		}
	}
	return out, nil
}

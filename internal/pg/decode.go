package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Change is a change of a table, as a replication slot tells it.
type Change struct {
	Schema, Table string
	Operation     string // INSERT, UPDATE, DELETE or TRUNCATE
	XID           uint32
	Commit        LSN // of its transaction
}

// Decoding says what to read of a slot.
type Decoding struct {
	Slot         string
	Publications []string          // whose tables are looked at
	From         LSN               // transactions that committed before are none of ours
	Until        LSN               // reading ends here
	Bytes        int64             // and after so many, at the end of a transaction; 0 is without a bound
	Ignore       func(Change) bool // changes that are expected
}

// Decoded is what was read.
type Decoded struct {
	Clean    LSN      // up to here nothing unexpected was committed: the slot has moved here
	Complete bool     // Clean, or a change behind it, is not before Until
	Changes  []Change // the first that were not expected, of transactions without an origin
	More     int64    // how many there are besides
}

// mostChanges are told one by one.
const mostChanges = 20

// decodePoll is how often a server that is not there yet is asked how far it is.
const decodePoll = 10 * time.Millisecond

// Decode reads a slot of pgoutput. A transaction with an origin was applied by a subscription: its changes are
// expected. The slot is moved past what is clean, never past a change that is not: the next call finds it again.
// Afterwards the session is at its end. A slot that somebody else reads is SQLSTATE 55006.
func (r *SourceReplication) Decode(ctx context.Context, d Decoding) (Decoded, error) {
	if err := pglogrepl.StartReplication(ctx, r.conn, d.Slot, 0, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication, PluginArgs: []string{"proto_version '1'", "publication_names '\"" + strings.Join(d.Publications, `","`) + "\"'"},
	}); err != nil {
		return Decoded{}, normalise(ctx, err)
	}
	s := stream{Decoding: d, relations: map[uint32]*pglogrepl.RelationMessage{}}
	for !s.ended() {
		if err := r.request(ctx, &s); err != nil {
			return s.Decoded, normalise(ctx, err)
		}
	}
	// What was confirmed counts when the server has answered the end.
	if err := pglogrepl.SendStandbyStatusUpdate(ctx, r.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: s.Clean}); err != nil {
		return s.Decoded, normalise(ctx, err)
	}
	_, err := pglogrepl.SendStandbyCopyDone(ctx, r.conn)
	return s.Decoded, normalise(ctx, err)
}

// request asks how far the server is, and reads up to its answer: so no read waits for a server that has nothing to
// say.
func (r *SourceReplication) request(ctx context.Context, s *stream) error {
	if err := pglogrepl.SendStandbyStatusUpdate(ctx, r.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: s.Clean, ReplyRequested: true}); err != nil {
		return err
	}
	for {
		message, err := r.conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("read slot %s: %s (SQLSTATE %s)", s.Slot, m.Message, m.Code)
		case *pgproto3.CopyData:
			answered, err := s.take(m.Data)
			if err != nil || answered && s.ended() {
				return err
			}
			if answered {
				time.Sleep(decodePoll)
				return nil
			}
		}
	}
}

// stream is what a walsender has sent so far.
type stream struct {
	Decoding
	Decoded
	relations map[uint32]*pglogrepl.RelationMessage
	open      bool // within a transaction
	begin     pglogrepl.BeginMessage
	applied   bool // it has an origin
	read      int64
}

func (s *stream) ended() bool { return s.Complete || !s.open && s.Bytes > 0 && s.read > s.Bytes }

// take reads one message, and tells whether it says how far the server is.
func (s *stream) take(data []byte) (bool, error) {
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err == nil && !s.open { // every transaction that ended before has been sent
			s.reached(k.ServerWALEnd)
		}
		return true, err
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return false, err
		}
		s.read += int64(len(x.WALData))
		if len(x.WALData) == 0 { // sent in place of an origin whose name is not known, and of nothing else
			s.applied = s.open
			return false, nil
		}
		m, err := pglogrepl.Parse(x.WALData)
		if err != nil {
			return false, fmt.Errorf("decode slot %s: %w", s.Slot, err)
		}
		s.message(m)
		return s.ended(), nil
	}
	return false, nil
}

// reached notes that everything before at was read.
func (s *stream) reached(at LSN) {
	if len(s.Changes) == 0 {
		s.Clean = max(s.Clean, at)
	}
	s.Complete = s.Complete || at >= s.Until
}

func (s *stream) message(m pglogrepl.Message) {
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		s.open, s.begin, s.applied = true, *m, false
	case *pglogrepl.OriginMessage:
		s.applied = true
	case *pglogrepl.CommitMessage:
		s.open = false
		s.reached(m.TransactionEndLSN)
	case *pglogrepl.RelationMessage:
		s.relations[m.RelationID] = m
	case *pglogrepl.InsertMessage:
		s.change("INSERT", m.RelationID)
	case *pglogrepl.UpdateMessage:
		s.change("UPDATE", m.RelationID)
	case *pglogrepl.DeleteMessage:
		s.change("DELETE", m.RelationID)
	case *pglogrepl.TruncateMessage:
		for _, id := range m.RelationIDs {
			s.change("TRUNCATE", id)
		}
	}
}

// change judges one. A commit's position is where its record begins: at From it stands behind it.
func (s *stream) change(operation string, relation uint32) {
	c := Change{Operation: operation, XID: s.begin.Xid, Commit: s.begin.FinalLSN}
	if r := s.relations[relation]; r != nil {
		c.Schema, c.Table = r.Namespace, r.RelationName
	}
	switch {
	case s.applied || c.Commit < s.From || s.Ignore != nil && s.Ignore(c):
	case len(s.Changes) < mostChanges:
		s.Changes = append(s.Changes, c)
	default:
		s.More++
	}
}

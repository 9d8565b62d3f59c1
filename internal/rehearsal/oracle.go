package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// The oracle is a slot of the rehearsal's own on a server that is to be left: what it took after the fence stands
// in its WAL, whatever anybody says.
const (
	oracleSlot        = "rehearsal_oracle"
	oraclePublication = "rehearsal_oracle" // only where test_decoding is missing
)

// codeNoFile is what a missing output plugin gives.
const codeNoFile = "58P01"

type oracle struct{ plugin string }

// newOracle makes the slot: with test_decoding, which tells everything, else with pgoutput.
func newOracle(ctx context.Context, server Server) (*oracle, error) {
	o := &oracle{plugin: "test_decoding"}
	err := o.create(ctx, server)
	if pg.Code(err) == codeNoFile {
		o.plugin = "pgoutput"
		err = o.create(ctx, server)
	}
	if err != nil {
		return nil, fmt.Errorf("make the oracle's slot: %w", err)
	}
	return o, nil
}

func (o *oracle) create(ctx context.Context, server Server) error {
	return server.admin(ctx, func(a *pg.Session) error {
		if o.plugin == "pgoutput" {
			if _, err := a.Script(ctx, "create publication "+oraclePublication+" for all tables"); err != nil {
				return err
			}
		}
		_, err := a.Script(ctx, fmt.Sprintf("select pg_create_logical_replication_slot('%s', '%s')", oracleSlot, o.plugin))
		return err
	})
}

// changesSQL gives, per transaction that came from here and committed between two positions, its changes: $from and
// $to stand for them. What an apply worker wrote has an origin, which is why it is not a write of somebody's.
var changesSQL = map[string]string{
	"test_decoding": `select change from (
			select array_agg(left(data, 200)) filter (where data !~ '^(BEGIN|COMMIT)') as changes
			from pg_logical_slot_get_changes('` + oracleSlot + `', $to, null, 'include-xids', '0', 'only-local', '1')
			group by xid::text having bool_or(data like 'COMMIT%' and lsn > $from and lsn <= coalesce($to, lsn))) t, unnest(changes) change`,
	// A message's first byte is its kind; the table's oid follows in I, U, D (protocol-logicalrep-message-formats). O
	// tells the origin.
	"pgoutput": `select case when d.k = 'T' then 'TRUNCATE' else 'table ' || c.relnamespace::regnamespace || '.' || c.relname || ': ' || d.k end
		from (select chr(get_byte(data, 0)) as k, data, bool_or(get_byte(data, 0) = ascii('O')) over t as applied,
				bool_or(get_byte(data, 0) = ascii('C') and lsn > $from and lsn <= coalesce($to, lsn)) over t as inside
			from pg_logical_slot_get_binary_changes('` + oracleSlot + `', $to, null, 'proto_version', '1', 'publication_names', '` + oraclePublication + `')
			window t as (partition by xid::text)) d
		left join pg_class c on d.k in ('I', 'U', 'D')
			and c.oid = (get_byte(data, 1)::bigint << 24 | get_byte(data, 2) << 16 | get_byte(data, 3) << 8 | get_byte(data, 4))::oid
		where d.inside and not d.applied and d.k in ('I', 'U', 'D', 'T')`,
}

// between returns the row changes of transactions that committed after one position and up to another ("": all that
// there is), but for those of pgleap's own tables, and how many there are. What was decoded is not decoded again:
// the next call has to ask for what comes later.
func (o *oracle) between(ctx context.Context, server Server, from, to string) (sample []string, n int, err error) {
	for _, position := range []string{from, cmp.Or(to, from)} {
		if _, err := parseLSN(position); err != nil {
			return nil, 0, err
		}
	}
	end := "null::pg_lsn"
	if to != "" {
		end = plan.QuoteLiteral(to) + "::pg_lsn"
	}
	sql := strings.NewReplacer("$from", plan.QuoteLiteral(from)+"::pg_lsn", "$to", end).Replace(changesSQL[o.plugin])
	var rows [][]string
	err = server.admin(ctx, func(a *pg.Session) error {
		rows, err = a.Script(ctx, "set search_path = pg_catalog; "+sql)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("decode the %s's WAL: %w", server.Side, err)
	}
	for _, r := range rows {
		if strings.HasPrefix(r[0], "table pgleap.") {
			continue
		}
		n++
		if len(sample) < 5 {
			sample = append(sample, r[0])
		}
	}
	return sample, n, nil
}

// parseLSN reads 16/B374D848.
func parseLSN(s string) (uint64, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no position in the WAL", s)
	}
	return h<<32 | l, nil
}

// drop removes what newOracle made.
func (o *oracle) drop(ctx context.Context, server Server) error {
	return server.admin(ctx, func(a *pg.Session) error {
		_, err := a.Script(ctx, "select pg_drop_replication_slot("+plan.QuoteLiteral(oracleSlot)+")")
		if err == nil && o.plugin == "pgoutput" {
			_, err = a.Script(ctx, "drop publication "+oraclePublication)
		}
		if err != nil {
			return fmt.Errorf("drop the oracle's slot: %w", err)
		}
		return nil
	})
}

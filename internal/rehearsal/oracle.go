package rehearsal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// The oracle is a slot of the rehearsal's own on the source: what the old server took after the fence stands
// in its WAL, whatever anybody says.
const (
	oracleSlot        = "rehearsal_oracle"
	oraclePublication = "rehearsal_oracle" // only where test_decoding is missing
)

// codeNoFile is what a missing output plugin gives.
const codeNoFile = "58P01"

type oracle struct{ plugin string }

// newOracle makes the slot: with test_decoding, which tells everything, else with pgoutput.
func newOracle(ctx context.Context, source Server) (*oracle, error) {
	o := &oracle{plugin: "test_decoding"}
	err := o.create(ctx, source)
	if pg.Code(err) == codeNoFile {
		o.plugin = "pgoutput"
		err = o.create(ctx, source)
	}
	if err != nil {
		return nil, fmt.Errorf("make the oracle's slot: %w", err)
	}
	return o, nil
}

func (o *oracle) create(ctx context.Context, source Server) error {
	return source.admin(ctx, func(a *pg.Session) error {
		if o.plugin == "pgoutput" {
			if _, err := a.Script(ctx, "create publication "+oraclePublication+" for all tables"); err != nil {
				return err
			}
		}
		_, err := a.Script(ctx, fmt.Sprintf("select pg_create_logical_replication_slot('%s', '%s')", oracleSlot, o.plugin))
		return err
	})
}

// changesSQL gives (lsn, kind, table, head): kind is B, C or the change's, table is text or an oid.
var changesSQL = map[string]string{
	"test_decoding": `select lsn, case when data like 'BEGIN%' then 'B' when data like 'COMMIT%' then 'C' else 'change' end, left(data, 200)
		from pg_logical_slot_peek_changes('` + oracleSlot + `', null, null, 'include-xids', '0')`,
	// A message's first byte is its kind; the table's oid follows in I, U, D (protocol-logicalrep-message-formats).
	"pgoutput": `select d.lsn, case when d.k in ('B', 'C') then d.k else 'change' end,
		case when d.k = 'T' then 'TRUNCATE' else 'table ' || c.relnamespace::regnamespace || '.' || c.relname || ': ' || d.k end
		from (select lsn, chr(get_byte(data, 0)) as k, data
			from pg_logical_slot_peek_binary_changes('` + oracleSlot + `', null, null, 'proto_version', '1', 'publication_names', '` + oraclePublication + `')) d
		left join pg_class c on d.k in ('I', 'U', 'D')
			and c.oid = (get_byte(data, 1)::bigint << 24 | get_byte(data, 2) << 16 | get_byte(data, 3) << 8 | get_byte(data, 4))::oid
		where d.k in ('B', 'C', 'I', 'U', 'D', 'T')`,
}

// after returns the row changes of transactions that committed after the fence, but for those of pgleap's
// own tables, and how many there are.
func (o *oracle) after(ctx context.Context, source Server, fence string) (sample []string, n int, err error) {
	at, err := parseLSN(fence)
	if err != nil {
		return nil, 0, err
	}
	var rows [][]string
	err = source.admin(ctx, func(a *pg.Session) error {
		rows, err = a.Script(ctx, "set search_path = pg_catalog; "+changesSQL[o.plugin])
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("decode the source's WAL: %w", err)
	}
	var open []string
	for _, r := range rows {
		switch r[1] {
		case "B":
			open = nil
		case "C":
			commit, err := parseLSN(r[0])
			if err != nil {
				return nil, 0, err
			}
			if commit > at {
				n += len(open)
				sample = append(sample, open[:min(len(open), max(0, 5-len(sample)))]...)
			}
		default:
			if !strings.HasPrefix(r[2], "table pgleap.") {
				open = append(open, r[2])
			}
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
func (o *oracle) drop(ctx context.Context, source Server) error {
	return source.admin(ctx, func(a *pg.Session) error {
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

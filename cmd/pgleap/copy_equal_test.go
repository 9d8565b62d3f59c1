package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/internal/pg"
)

func copySession(ctx context.Context, uri string) (*pg.Session, error) {
	a, err := pg.ParseAddress(uri)
	if err != nil {
		return nil, err
	}
	return pg.OpenClient(ctx, a, pg.Options{Verb: "bench"})
}

// query sends statements in a session of their own.
func (c *copyBench) query(uri, sql string) [][]string {
	c.b.Helper()
	s, err := copySession(c.b.Context(), uri)
	if err != nil {
		c.b.Fatal(err)
	}
	defer s.Close()
	rows, err := s.Script(c.b.Context(), sql)
	if err != nil {
		c.b.Fatalf("%.300s: %s", sql, pg.Message(err))
	}
	return rows
}

const (
	copyLongest = 2 * time.Hour // only a fault reaches it
	copyPoll    = 20 * time.Millisecond
)

// awaitRow waits until a query has a row.
func (c *copyBench) awaitRow(uri, sql string) {
	c.b.Helper()
	s, err := copySession(c.b.Context(), uri)
	if err != nil {
		c.b.Fatal(err)
	}
	defer s.Close()
	tick := time.NewTicker(copyPoll)
	defer tick.Stop()
	for deadline := time.Now().Add(copyLongest); time.Now().Before(deadline); <-tick.C {
		rows, err := s.Script(c.b.Context(), sql)
		if err != nil {
			c.b.Fatalf("%s: %s", sql, pg.Message(err))
		}
		if len(rows) > 0 {
			return
		}
	}
	c.b.Fatalf("waited in vain for a row of %s", sql)
}

// copyContents is what a database of the source holds, read once: line by line what must be on the target, too.
type copyContents struct{ indexes, rows []string }

// mustBeEqual fails unless the target has every row and every index, valid, and statistics of every table with rows.
func (c *copyBench) mustBeEqual(d copyDataset, w copyWay, expected *copyContents) {
	c.b.Helper()
	source, target := c.source.URI(d.database()), c.target.URI(d.database())
	if expected.rows == nil {
		expected.indexes, expected.rows = c.indexes(source), c.rows(source)
	}
	c.mustBeSame(d, w, expected.rows, c.rows(target))
	c.mustBeSame(d, w, expected.indexes, c.indexes(target))
	without := c.query(target, `select c.oid::regclass from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relpages > 0
		and not exists (select from pg_statistic s where s.starelid = c.oid)`)
	if len(without) > 0 {
		c.b.Fatalf("%s by %s: %d tables are not analyzed, such as %s", d.name, w.name, len(without), without[0][0])
	}
}

func (c *copyBench) mustBeSame(d copyDataset, w copyWay, want, got []string) {
	c.b.Helper()
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			c.b.Fatalf("%s by %s: the source has %d of %.200q, the target %d of %.200q", d.name, w.name, len(want), want[min(i, len(want)-1):], len(got), got[min(i, len(got)):])
		}
	}
}

func (c *copyBench) indexes(uri string) []string {
	return copyLines(c.query(uri, `select i.indexrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid and i.indisready, i.indisprimary, i.indisreplident
		from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = 'public'::regnamespace order by i.indexrelid::regclass::text collate "C"`))
}

// rows are each table's number of rows and a sum over hashes of them.
func (c *copyBench) rows(uri string) []string {
	tables := c.query(uri, `select oid::regclass from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by oid::regclass::text collate "C"`)
	var all []string
	for chunk := range slices.Chunk(tables, 200) {
		var sql []string
		for _, t := range chunk {
			sql = append(sql, fmt.Sprintf("select '%[1]s', count(*), sum(hashtext(t::text)::bigint) from only %[1]s t", t[0]))
		}
		all = append(all, copyLines(c.query(uri, strings.Join(sql, ";\n")))...)
	}
	return all
}

func copyLines(rows [][]string) []string {
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = strings.Join(r, "|")
	}
	return lines
}

// mustHoldNothing fails where something is left on the source that would cost the next way something.
func (c *copyBench) mustHoldNothing(d copyDataset, w copyWay) {
	c.b.Helper()
	if left := c.query(c.source.URI(d.database()), ours); len(left) > 0 {
		c.b.Fatalf("%s by %s leaves on the source: %s", d.name, w.name, strings.Join(copyLines(left), ", "))
	}
}

package main

import (
	"fmt"
	"os"
)

// copyDataset is a database of the source.
type copyDataset struct {
	name   string
	loaded bool // writes go on during the copy
	fill   func(percent int) []string
}

var copyDatasets = []copyDataset{
	{name: "orders", fill: ordersSQL},
	{name: "loaded", fill: ordersSQL, loaded: true},
	{name: "uuid", fill: uuidSQL},
	{name: "big", fill: bigSQL},
	{name: "small", fill: smallSQL},
}

func (d copyDataset) database() string { return "copy_" + d.name }

// make fills the database and leaves it as one that has been in use: vacuumed, analyzed and on disk.
func (d copyDataset) make(c *copyBench) {
	c.query(c.source.URI("postgres"), "create database "+d.database())
	for _, sql := range append(d.fill(c.scale), "vacuum analyze") {
		c.query(c.source.URI(d.database()), sql)
	}
	size := c.query(c.source.URI(d.database()), "select pg_size_pretty(pg_database_size(current_database()))")
	fmt.Fprintf(os.Stderr, "\n%s: %s\n", d.name, size[0][0])
}

// ordersSQL is pgbench of scale 60 and a table of four million orders with five indexes, one of them GIN.
func ordersSQL(percent int) []string {
	branches := max(1, 60*percent/100)
	return []string{
		`create table pgbench_branches (bid int not null, bbalance int, filler char(88)) with (fillfactor = 100);
		create table pgbench_tellers (tid int not null, bid int, tbalance int, filler char(84)) with (fillfactor = 100);
		create table pgbench_accounts (aid int not null, bid int, abalance int, filler char(84)) with (fillfactor = 100);
		create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))`,
		fmt.Sprintf(`insert into pgbench_branches (bid, bbalance) select g, 0 from generate_series(1, %[1]d) g;
		insert into pgbench_tellers (tid, bid, tbalance) select g, (g - 1) / 10 + 1, 0 from generate_series(1, 10 * %[1]d) g;
		insert into pgbench_accounts select g, (g - 1) / 100000 + 1, 0, '' from generate_series(1, 100000 * %[1]d) g`, branches),
		`alter table pgbench_branches add primary key (bid);
		alter table pgbench_tellers add primary key (tid);
		alter table pgbench_accounts add primary key (aid);
		alter table pgbench_history replica identity full`,
		`create table orders (id bigserial, customer int not null, status text not null, placed timestamptz not null, total numeric(12,2) not null, attributes jsonb not null, note text)`,
		fmt.Sprintf(`insert into orders (customer, status, placed, total, attributes, note)
		select 1 + (g::bigint * 7919) %% 500000, (array['new', 'paid', 'sent', 'done'])[1 + g %% 4], timestamptz '2020-01-01 00:00+00' + g * interval '37 s', (g::bigint * 31 %% 100000) / 100.0,
			jsonb_build_object('channel', (array['web', 'shop', 'phone'])[1 + g %% 3], 'tags', jsonb_build_array('t' || g %% 97, 'u' || g %% 1009), 'weight', g %% 5000), left(md5(g::text), 8 + g %% 24)
		from generate_series(1, 40000 * %d) g`, percent),
		`alter table orders add primary key (id);
		create index orders_customer on orders (customer, placed);
		create index orders_placed on orders (placed);
		create index orders_open on orders (status, total);
		create index orders_attributes on orders using gin (attributes)`,
	}
}

// uuidSQL is four tables with random keys, 2 GB with their indexes.
func uuidSQL(percent int) []string {
	var sql []string
	for i := range 4 {
		sql = append(sql,
			fmt.Sprintf(`create table uuid_%[1]d (id uuid not null, parent uuid not null, owner uuid not null, email text not null, at timestamptz not null, amount int not null);
			insert into uuid_%[1]d select md5('k%[1]d-' || g)::uuid, md5('p%[1]d-' || g / 3)::uuid, md5('o%[1]d-' || g %% 99991)::uuid, left(md5('e' || g), 12) || '@example.com', timestamptz '2020-01-01 00:00+00' + g * interval '11 s', g %% 1000
			from generate_series(1, 18000 * %[2]d) g`, i+1, percent),
			fmt.Sprintf(`alter table uuid_%[1]d add primary key (id);
			create index on uuid_%[1]d (parent);
			create index on uuid_%[1]d (owner);
			create index on uuid_%[1]d (email);
			create index on uuid_%[1]d (at)`, i+1))
	}
	return sql
}

// bigSQL is one table of 2 GB with a key and one index.
func bigSQL(percent int) []string {
	return []string{
		`create table big (id bigint not null, account int not null, at timestamptz not null, payload text not null)`,
		fmt.Sprintf(`insert into big select g, (g::bigint * 7919) %% 1000003, timestamptz '2020-01-01 00:00+00' + g * interval '3 s', md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text)
		from generate_series(1, 130000 * %d::bigint) g`, percent),
		`alter table big add primary key (id);
		create index big_account on big (account)`,
	}
}

// smallSQL is 5,000 tables of ten rows, made some at a time: a transaction locks what it makes.
func smallSQL(percent int) []string {
	const chunk = 250
	var sql []string
	tables := max(1, 50*percent)
	for from := 1; from <= tables; from += chunk {
		sql = append(sql, fmt.Sprintf(`do $$ begin for i in %d..%d loop
			execute format('create table small_%%s (id int primary key, name text not null, at timestamptz not null)', i);
			execute format('insert into small_%%1$s select g, ''name '' || g, timestamptz ''2020-01-01 00:00+00'' + g * interval ''1 h'' from generate_series(1, 10) g', i);
			execute format('create index on small_%%s (name)', i);
		end loop; end $$`, from, min(tables, from+chunk-1)))
	}
	return sql
}

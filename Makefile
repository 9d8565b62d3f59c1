.PHONY: build servers test test-copies docs lint rehearse bench bench-cutover bench-copy bench-lanes estimates runbook

build:            ## the binary, in bin/
	go build -o bin/pgleap ./cmd/pgleap

servers:          ## server programs of every major 10 to 18, and pg_dump 18, into .servers/; PgBouncer where it is missing
	scripts/servers.sh

test: servers     ## everything, on real servers of every major
	go test -timeout 75m ./...

test-copies: servers  ## both ways of copying over ten million rows that change meanwhile; make test takes fewer
	COPIES_ROWS=10000000 go test -timeout 60m -v -run TestCopies ./cmd/pgleap

docs:             ## docs/checks.md, from the table of checks
	go test ./cmd/pgleap -run 'TestChecksDocument' -update

lint:             ## formatting, vet, staticcheck
	test -z "$$(go tool gofumpt -l .)"
	go vet ./...
	go tool staticcheck ./...

rehearse: build servers   ## 13 → 18 under load, and the verdict: REHEARSE="--from 10 --to 17 …" for another one
	bin/pgleap rehearse --from 13 --to 18 --rate 500 --duration 20s --report out/rehearsal $(REHEARSE)

bench: servers    ## 20 switches under load, beside the same statements by hand; check and plan beside pg_dump
	go test -timeout 60m -run '^$$' -bench Switch -benchtime 20x ./cmd/pgleap
	go test -timeout 30m -run '^$$' -bench Check -benchtime 1x ./cmd/pgleap

bench-cutover: servers  ## what clients see of 50 cutovers through PgBouncer, beside the floor, the published procedure and 5,000 tables; CUTOVER_TURNS=5 … for a shorter one
	go test -timeout 180m -run '^$$' -bench 'Cutover$$' -benchtime 1x ./cmd/pgleap

bench-copy: servers  ## the first copy in both ways, beside a subscription with defaults, pgcopydb and the floor; COPY_TURNS=1 COPY_SCALE=5 COPY_DATASETS=orders,small COPY_WAYS=native,stream COPY_PAIR=13-17 COPY_RATE=0 for a shorter one
	go test -timeout 600m -run '^$$' -bench 'Copy$$' -benchtime 1x ./cmd/pgleap

bench-lanes: servers  ## how fast 1 and 2 lanes apply what 60 s of writes have left, with the source apart and beside the target; LANES_SECONDS=10 LANES=1,2,4 LANES_LOADS=tpcb LANES_PLACES=apart … for another one
	go test -timeout 60m -run '^$$' -bench 'Lanes$$' -benchtime 1x ./cmd/pgleap

runbook: servers  ## docs/runbook-shop-13-18.md, the example of a runbook, written anew
	go test -run TestRunbookDocument ./cmd/pgleap -update

estimates: servers ## the plan's estimates beside what a rehearsal measures, pgbench and 1 GB of shop: off by 2 at most
	go test -timeout 90m -run '^$$' -bench Estimates -benchtime 3x -v ./cmd/pgleap

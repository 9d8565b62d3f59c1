package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Speeds that are taken where nothing was measured (no trial load, an empty source). They are on the slow
// side: a table that is larger than memory, on a disk in the network.
const (
	unmeasuredCopy    = 20 << 20 // bytes of a table per second, one table at a time
	unmeasuredIndex   = 20 << 20 // bytes of a table per second, for each index
	unmeasuredAnalyze = 20e-6    // seconds per row that ANALYZE reads
	unmeasuredKeyRow  = 1e-6     // seconds per row, of either table, to check a foreign key
	unmeasuredWidth   = 100      // bytes of a row
	unmeasuredConnect = 0.03     // seconds of a new session
	unmeasuredTrip    = 0.001    // seconds of a round trip

	// A sample of a few hundred kB stays in caches, and its WAL and its pages are written by nobody yet. What goes on
	// for longer is slower by so much; these are the middle of what rehearsals have shown, from 1.1 to twice the number.
	lastingCopy    = 1.3
	lastingIndex   = 1.8 // the first to read a table marks its rows as committed, too
	lastingKey     = 1.3
	lastingAnalyze = 2 // neighbours of one partition tree wait for each other

	// TellingRows is how many rows a sample must have to say something about other tables: of fewer, one sees what a
	// statement costs.
	TellingRows = 500

	analyzedRows = 30_000 // that ANALYZE reads of a table, with default_statistics_target = 100
	readFaster   = 12     // times as fast as copying rows is reading their pages
)

const notMeasured = "not measured, a cautious default"

// Estimated returns the plan with how long its steps will take and what they add up to, from the facts, the
// options and the rates of a trial load.
func (p Plan) Estimated(sel Selection) Plan {
	e := newEstimator(p, sel)
	stages := slices.Clone(p.Stages)
	for i := range stages {
		stages[i].Steps = slices.Clone(stages[i].Steps)
		for k := range stages[i].Steps {
			step := &stages[i].Steps[k]
			step.Estimate = e.step(*step)
		}
	}
	p.Stages = stages
	totals := e.totals(p)
	p.Totals = &totals
	return p
}

// estimator holds what the estimates of one plan are made of.
type estimator struct {
	plan      Plan
	selection Selection
	rates     Rates
	tables    map[Name]TableRate
	indexes   map[Name]IndexRate
	relations map[Name]Relation
	leaves    map[Name][]Name       // of partitioned tables, at every level
	keys      map[Name][]ForeignKey // by the table that refers
	mean      means
}

// means stand for tables that were not measured themselves.
type means struct {
	copied  float64            // bytes per second
	width   float64            // bytes of a row
	analyze float64            // seconds per row
	index   map[string]float64 // seconds per byte of the table, by access method; "" is all
}

func newEstimator(p Plan, sel Selection) *estimator {
	e := &estimator{
		plan: p, selection: sel, tables: map[Name]TableRate{}, indexes: map[Name]IndexRate{},
		relations: map[Name]Relation{}, leaves: map[Name][]Name{}, keys: map[Name][]ForeignKey{},
	}
	if t := p.Target.Trial; t != nil && t.Rates != nil {
		e.rates = *t.Rates
	}
	for _, t := range e.rates.Tables {
		if t.Copy > 0 && t.Bytes > 0 && t.Rows > 0 {
			e.tables[t.Table] = t
		}
	}
	for _, i := range e.rates.Indexes {
		e.indexes[i.Index] = i
	}
	for _, r := range p.Source.Relations {
		e.relations[r.Name] = r
	}
	for _, r := range p.Source.Relations {
		if r.Partition && r.Kind == "r" {
			e.under(r.Name, r.Parents)
		}
	}
	for _, k := range p.Source.ForeignKeys {
		e.keys[k.From] = append(e.keys[k.From], k)
	}
	e.average()
	return e
}

// under notes the leaf under its parents, and under theirs.
func (e *estimator) under(leaf Name, parents []Name) {
	for _, p := range parents {
		e.leaves[p] = append(e.leaves[p], leaf)
		e.under(leaf, e.relations[p].Parents)
	}
}

// average makes the means of what was measured.
func (e *estimator) average() {
	var bytes, rows, copied, analyzed, analyze float64
	for _, t := range e.tables {
		bytes, rows, copied = bytes+float64(t.Bytes), rows+float64(t.Rows), copied+t.Copy
		if t.Analyze > 0 && t.Rows >= TellingRows {
			analyzed, analyze = analyzed+min(float64(t.Rows), analyzedRows), analyze+t.Analyze
		}
	}
	e.mean = means{copied: unmeasuredCopy, width: unmeasuredWidth, analyze: unmeasuredAnalyze, index: map[string]float64{}}
	if copied > 0 {
		e.mean.copied, e.mean.width = bytes/copied, bytes/rows
	}
	if analyzed > 0 {
		e.mean.analyze = analyze / analyzed
	}
	took, over := map[string]float64{}, map[string]float64{}
	for _, i := range e.indexes {
		if e.tables[i.Table].Rows < TellingRows {
			continue
		}
		for _, key := range []string{i.Method, ""} {
			took[key] += i.Seconds
			over[key] += float64(e.tables[i.Table].Bytes)
		}
	}
	for key := range maps.Keys(took) {
		if over[key] > 0 {
			e.mean.index[key] = lastingIndex * took[key] / over[key]
		}
	}
}

// bytes of a table, or of all leaves of a partitioned one.
func (e *estimator) bytes(n Name) int64 {
	total := e.relations[n].Bytes
	for _, leaf := range e.leaves[n] {
		total += e.relations[leaf].Bytes
	}
	return total
}

// rows of a table, or of all leaves of a partitioned one: measured, else as the source's statistics say, else
// guessed from the size.
func (e *estimator) rows(n Name) float64 {
	if len(e.leaves[n]) > 0 {
		total := 0.0
		for _, leaf := range e.leaves[n] {
			total += e.rows(leaf)
		}
		return total
	}
	r := e.relations[n]
	if t, ok := e.tables[n]; ok {
		return float64(t.Rows) * max(float64(r.Bytes)/float64(t.Bytes), 1)
	}
	if r.Rows > 0 {
		return float64(r.Rows)
	}
	return float64(r.Bytes) / e.mean.width
}

// copied is the first copy of one table by itself.
func (e *estimator) copied(r Relation) float64 {
	if t, ok := e.tables[r.Name]; ok {
		return lastingCopy * t.Copy * float64(r.Bytes) / float64(t.Bytes)
	}
	if len(e.tables) > 0 {
		return lastingCopy * float64(r.Bytes) / e.mean.copied
	}
	return float64(r.Bytes) / e.mean.copied
}

// step estimates one step; nil where nothing is known.
func (e *estimator) step(s Step) *Estimate {
	switch {
	case s.Batch == "indexes", s.Batch == "keys":
		return e.index(s)
	case s.Batch == "foreign-keys":
		return e.foreignKey(s)
	case s.Batch == "analyze" && s.Table != nil:
		return e.analyze(*s.Table)
	case s.ID == "subscribe.copy" && e.plan.Options.Copy == CopyStream:
		return nil
	case s.ID == "subscribe.copy", s.ID == "subscribe.stream":
		c := e.copy()
		return &c
	case s.ID == "publish.slot":
		return e.slot()
	case strings.HasPrefix(string(s.ID), "finish.refresh."):
		return nil // as long as the view's query takes
	case s.Do.Call == "" && s.Do.SQL != "":
		return e.statements(s)
	}
	return nil
}

// indexMethod finds the access method of CREATE INDEX and of an exclusion constraint.
var indexMethod = regexp.MustCompile(`(?i)\bUSING (\w+) \(`)

func methodOf(sql string) string {
	if m := indexMethod.FindStringSubmatch(sql); m != nil {
		return strings.ToLower(m[1])
	}
	return "btree"
}

// index grows with n log n over the rows: what it took over the sample is scaled up.
func (e *estimator) index(s Step) *Estimate {
	if s.Table == nil {
		return nil
	}
	if len(e.leaves[*s.Table]) > 0 || e.relations[*s.Table].Kind == "p" {
		return &Estimate{Seconds: e.trip(), Basis: "a definition: the partitions have indexes of their own"}
	}
	size, method := e.bytes(*s.Table), methodOf(s.Do.SQL)
	_, index, _ := strings.Cut(string(s.ID), ".index."+s.Table.Schema+".")
	name := Name{s.Table.Schema, index}
	if i, ok := e.indexes[name]; ok {
		if t, ok := e.tables[i.Table]; ok && (t.Rows >= TellingRows || size <= t.Bytes) {
			factor := max(float64(size)/float64(t.Bytes), 1)
			factor *= math.Log2(float64(t.Rows)*factor+2) / math.Log2(float64(t.Rows)+2)
			return &Estimate{Seconds: lastingIndex*i.Seconds*factor + e.trip(), Basis: fmt.Sprintf("%s index over %s, measured over %s of them", method, HumanBytes(size), HumanBytes(t.Bytes))}
		}
	}
	perByte, basis := e.mean.index[method], "as the measured "+method+" indexes"
	if perByte == 0 {
		perByte, basis = e.mean.index[""], "as the measured indexes"
	}
	if perByte == 0 {
		perByte, basis = 1/float64(unmeasuredIndex), notMeasured
	}
	return &Estimate{Seconds: perByte*float64(size) + e.trip(), Basis: fmt.Sprintf("%s index over %s, %s", method, HumanBytes(size), basis)}
}

// foreignKey reads both tables once; where few rows refer, they are looked up one by one.
func (e *estimator) foreignKey(s Step) *Estimate {
	if s.Table == nil {
		return nil
	}
	rows, bytes := e.rows(*s.Table), float64(e.bytes(*s.Table))
	for _, k := range e.keys[*s.Table] {
		if strings.HasSuffix(string(s.ID), "."+OneLine(k.Name)) {
			referred := e.rows(k.To)
			part := min(1, lookups*rows/max(referred, 1))
			rows, bytes = rows+part*referred, bytes+part*float64(e.bytes(k.To))
			break
		}
	}
	perRow, basis := e.rates.KeyRow, "measured"
	if perRow == 0 {
		perRow, basis = unmeasuredKeyRow, notMeasured
	}
	seconds := lastingKey*perRow*rows + bytes/(readFaster*e.mean.copied) + e.trip()
	return &Estimate{Seconds: seconds, Basis: fmt.Sprintf("%s rows in both tables, %s", humanCount(rows), basis)}
}

// lookups is how many rows of a scan one lookup by an index costs.
const lookups = 10

// analyze reads a sample of a large table. For a partitioned one, its partitions are read once more.
func (e *estimator) analyze(n Name) *Estimate {
	if leaves := e.leaves[n]; len(leaves) > 0 {
		seconds := min(e.rows(n), analyzedRows) * e.mean.analyze
		for _, leaf := range leaves {
			seconds += e.analyze(leaf).Seconds
		}
		return &Estimate{Seconds: seconds, Basis: fmt.Sprintf("%s, once more each", plural(len(leaves), "partition"))}
	}
	rows, perRow, basis := min(e.rows(n), analyzedRows), e.mean.analyze, "as the measured tables"
	if t, ok := e.tables[n]; ok && t.Analyze > 0 && (t.Rows >= TellingRows || e.relations[n].Bytes <= t.Bytes) {
		perRow, basis = t.Analyze/min(float64(t.Rows), analyzedRows), "measured"
	} else if len(e.tables) == 0 {
		basis = notMeasured
	}
	read := min(float64(e.relations[n].Bytes), analyzedRows<<13)
	return &Estimate{Seconds: lastingAnalyze*perRow*rows + read/(readFaster*e.mean.copied) + e.trip(), Basis: fmt.Sprintf("%s rows are read, %s", humanCount(rows), basis)}
}

// slot waits for writers.
func (e *estimator) slot() *Estimate {
	oldest := Transaction{}
	for _, t := range e.plan.Source.Transactions {
		if t.Writes && t.Seconds > oldest.Seconds {
			oldest = t
		}
	}
	if oldest.PID != 0 {
		return &Estimate{Seconds: e.trip(), Basis: fmt.Sprintf("once pid %d (%s), which has written, ends: open for %s already", oldest.PID, OneLine(oldest.User), HumanDuration(time.Duration(oldest.Seconds*float64(time.Second))))}
	}
	return &Estimate{Seconds: e.trip() + 0.05, Basis: "and as long as the longest write transaction that is then open; none is old now"}
}

// definitionTime is what a statement of a definition takes beside the round trip.
const definitionTime = 0.001

func (e *estimator) statements(s Step) *Estimate {
	n := len(Statements(s.Do.SQL))
	return &Estimate{Seconds: e.trip() + float64(n)*definitionTime, Basis: plural(n, "statement") + ", in one round trip"}
}

// trip is what every step costs: its round trips, the journal's record, a commit.
func (e *estimator) trip() float64 {
	return 3*cmp.Or(max(e.rates.SourceRoundTrip, e.rates.TargetRoundTrip), unmeasuredTrip) + e.session()/4
}

// session is what the source's machine needs for a new session, without the network: on one that is busy
// everything takes longer.
func (e *estimator) session() float64 {
	return max(e.connect()-connectTrips*cmp.Or(e.rates.SourceRoundTrip, unmeasuredTrip), leastConnect)
}

// humanCount writes large numbers as people say them.
func humanCount(n float64) string {
	switch {
	case n >= 1e9:
		return humanNumber(n/1e9) + " billion"
	case n >= 1e6:
		return humanNumber(n/1e6) + " million"
	case n >= 1e4:
		return strconv.FormatInt(int64(math.Round(n/1000))*1000, 10)
	}
	return strconv.FormatInt(int64(math.Round(n)), 10)
}

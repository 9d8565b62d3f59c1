package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings that checkSettings compares. None of them can hold a secret, and no other is ever read.
var (
	// decides what the applications get: any difference is told
	settingsOfResults = strings.Fields(`search_path TimeZone DateStyle IntervalStyle bytea_output extra_float_digits standard_conforming_strings backslash_quote
		array_nulls transform_null_equals xmlbinary xmloption lo_compat_privileges default_transaction_isolation default_transaction_deferrable
		default_text_search_config default_tablespace temp_tablespaces default_table_access_method default_toast_compression
		lc_messages lc_monetary lc_numeric lc_time row_security check_function_bodies session_replication_role
		synchronous_commit fsync full_page_writes password_encryption
		statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout deadlock_timeout`)
	// decides how fast it comes: any difference is told
	settingsOfPlans = strings.Fields(`default_statistics_target random_page_cost seq_page_cost jit plan_cache_mode constraint_exclusion cursor_tuple_fraction
		from_collapse_limit join_collapse_limit geqo enable_seqscan enable_indexscan enable_indexonlyscan enable_bitmapscan enable_nestloop enable_hashjoin
		enable_mergejoin enable_hashagg enable_sort enable_material enable_partitionwise_join enable_partitionwise_aggregate
		autovacuum track_counts track_activities temp_file_limit`)
	// limits and room: only a target that has less is told
	settingsOfRoom = strings.Fields(`max_connections max_prepared_transactions max_locks_per_transaction max_pred_locks_per_transaction max_stack_depth
		max_files_per_process shared_buffers work_mem maintenance_work_mem temp_buffers effective_cache_size
		max_parallel_workers max_parallel_workers_per_gather autovacuum_max_workers track_activity_query_size`)
	// libraries: only those that the target lacks are told
	settingsOfLibraries = []string{"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"}
	// lists of names, which ALTER SYSTEM takes one by one
	listSettings = append([]string{"search_path", "temp_tablespaces"}, settingsOfLibraries...)
	// looked at by other checks
	settingsOfReplication = []string{"wal_sender_timeout", "wal_receiver_timeout"}
)

// ComparedSettings names the settings that are read as an ordinary session gets them.
func ComparedSettings() []string {
	return slices.Concat(settingsOfResults, settingsOfPlans, settingsOfRoom, settingsOfLibraries, settingsOfReplication)
}

// checkSettings is one finding, however many settings differ. A value that neither side has set differs only
// because the default of the new major is another one: that is part of the upgrade.
func checkSettings(in input) []Finding {
	var differ, statements, restart []string
	for _, name := range ComparedSettings() {
		s, t, ok := bothSet(in, name)
		if !ok || slices.Contains(settingsOfReplication, name) || !matters(name, s.Setting, t.Setting) {
			continue
		}
		differ = append(differ, fmt.Sprintf("%s: %s, on the target %s", name, shownSetting(s), shownSetting(t)))
		statements = append(statements, fmt.Sprintf("alter system set %s = %s;", name, settingValue(name, s.Setting, t.Setting)))
		if t.Restart {
			restart = append(restart, name)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	f := Finding{
		Severity: Warning, On: Target,
		Problem: "settings of the source's server are not carried over, and differ:\n" + strings.Join(differ, "\n"),
		Fix:     "take over on the target what is meant to stay as it was, then select pg_reload_conf();",
		SQL:     strings.Join(statements, "\n"),
	}
	if len(restart) > 0 {
		f.Fix = fmt.Sprintf("take over on the target what is meant to stay as it was; %s: restart it then, for the others select pg_reload_conf(); is enough", strings.Join(restart, ", "))
	}
	return []Finding{f}
}

// bothSet returns the values where both servers show theirs, and somebody has chosen one of them.
func bothSet(in input, name string) (s, t ServerSetting, ok bool) {
	s, t = in.source.Cluster.Settings[name], in.target.Cluster.Settings[name]
	return s, t, s.serverWide() && t.serverWide() && (s.Source != "default" || t.Source != "default")
}

// matters tells whether what the source has is missing on the target.
func matters(name, source, target string) bool {
	switch {
	case slices.Contains(settingsOfLibraries, name):
		return len(lacking(source, target)) > 0
	case slices.Contains(settingsOfRoom, name):
		s, err1 := strconv.ParseInt(source, 10, 64)
		t, err2 := strconv.ParseInt(target, 10, 64)
		return err1 == nil && err2 == nil && t < s
	}
	return source != target
}

// lacking returns the libraries of the source that the target does not load.
func lacking(source, target string) []string {
	has := listOf(target)
	return slices.DeleteFunc(listOf(source), func(l string) bool { return slices.Contains(has, l) })
}

// listOf reads a list of names as pg_settings shows it: "$user", public.
func listOf(text string) []string {
	var list []string
	for _, word := range strings.Split(text, ",") {
		if word = strings.Trim(strings.TrimSpace(word), `"`); word != "" {
			list = append(list, word)
		}
	}
	return list
}

// settingValue is the source's value as ALTER SYSTEM takes it; of libraries the target keeps its own, too.
func settingValue(name, source, target string) string {
	if !slices.Contains(listSettings, name) {
		return strings.TrimSpace(QuoteLiteral(source))
	}
	list := listOf(source)
	if slices.Contains(settingsOfLibraries, name) {
		list = append(listOf(target), lacking(source, target)...)
	}
	if len(list) == 0 {
		return "''"
	}
	for i := range list {
		list[i] = strings.TrimSpace(QuoteLiteral(list[i]))
	}
	return strings.Join(list, ", ")
}

func shownSetting(s ServerSetting) string {
	if s.Shown == "" {
		return "(empty)"
	}
	return OneLine(s.Shown)
}

// enoughForWorkers is what both sides of replication wait by default before they give the other one up.
const enoughForWorkers = time.Minute

func checkTimeouts(in input) []Finding {
	var out []Finding
	for _, f := range []Facts{in.source, in.target} {
		out = append(out, lostConnection(f)...)
		names := []string{"transaction_timeout"}
		if f.Side == Target {
			names = append(names, "lock_timeout")
		}
		for _, name := range names {
			if s, ok := f.Cluster.Settings[name]; ok && milliseconds(s.Setting) > 0 {
				out = append(out, replicationTimeout(f, name, s))
			}
		}
	}
	return append(out, impatientRoles(in)...)
}

// replicationTimeout is about what the workers on the target and the walsenders on the source get: they have
// the settings of the role that connects. The other timeouts do not concern them, or are switched off for them
// in the subscription's connection string.
func replicationTimeout(f Facts, name string, s ServerSetting) Finding {
	consequence := "apply stops whenever it waits that long for a lock, and begins anew"
	if name == "transaction_timeout" {
		consequence = "the first copy of a table that takes longer is ended, begins anew, and never arrives"
	}
	role := QuoteIdent(f.Role.Name)
	return Finding{
		Severity: Warning, On: f.Side, Object: name,
		Problem: fmt.Sprintf("%s is %s for role %s, which replicates\n%s", name, shownSetting(s), OneLine(role), consequence),
		Fix:     "switch it off for that role in this database until the switch is done",
		SQL:     fmt.Sprintf("alter role %s in database %s set %s = 0;", role, QuoteIdent(f.Database), name),
	}
}

// lostConnection looks at how long a side waits for the other one's sign of life.
func lostConnection(f Facts) []Finding {
	name, never := "wal_sender_timeout", "the walsender of a target that is gone without a word is never ended: it holds the slot, and the target cannot come back"
	if f.Side == Target {
		name, never = "wal_receiver_timeout", "a source that is gone without a word is never noticed: apply waits for it for ever"
	}
	s, ok := f.Cluster.Settings[name]
	timeout := milliseconds(s.Setting)
	if !ok || timeout >= enoughForWorkers {
		return nil
	}
	problem := fmt.Sprintf("%s is 0 on the %s\n%s", name, f.Side, never)
	if timeout > 0 {
		problem = fmt.Sprintf("%s is %s on the %s\na side that is busy with a large transaction, or a network that hesitates, ends the connection, and the transaction begins anew", name, HumanDuration(timeout), f.Side)
	}
	return []Finding{{
		Severity: Warning, On: f.Side, Object: name, Problem: problem,
		Fix: "set it to a minute or more; a reload is enough",
		SQL: "alter system set " + name + " = '60s'; select pg_reload_conf();",
	}}
}

// impatientRoles are those whose writes do not wait for the switch to end.
func impatientRoles(in input) []Finding {
	stall := in.options.MaxWriteStall
	var who []string
	for _, t := range in.source.Cluster.RoleTimeouts {
		if d, ok := settingDuration(t.Setting); ok && d > 0 && d < stall {
			role := "every role"
			if t.Role != "" {
				role = ident(t.Role)
			}
			who = append(who, fmt.Sprintf("%s (%s %s)", role, t.Name, OneLine(t.Setting)))
		}
	}
	if len(who) == 0 {
		return nil
	}
	return []Finding{{
		Severity: Info, On: Source,
		Problem: fmt.Sprintf("writes may stand still for up to %s at the switch, and these roles do not wait that long: %s\ntheir writes fail then, instead of being late", HumanDuration(stall), named(who)),
		Fix:     "see that the application tries again, or raise the timeout for the time of the switch",
	}}
}

func milliseconds(setting string) time.Duration {
	n, err := strconv.ParseInt(setting, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

var settingUnits = map[string]time.Duration{
	"us": time.Microsecond, "": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// settingDuration reads a timeout as ALTER ROLE was given it; without a unit it is in milliseconds.
func settingDuration(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRight(text, "usminhd ")
	n, err := strconv.ParseFloat(digits, 64)
	unit, known := settingUnits[strings.TrimSpace(text[len(digits):])]
	return time.Duration(n * float64(unit)), err == nil && known
}

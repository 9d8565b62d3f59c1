package pg

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5"
)

// Secret is a text that must never be shown: every way of printing it prints dots.
type Secret string

const dots = "•••"

// String, GoString, MarshalJSON, MarshalText and LogValue all hide the secret. Reveal shows it.
func (Secret) String() string               { return dots }
func (Secret) GoString() string             { return dots }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + dots + `"`), nil }
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(dots) }

// Reveal returns the text itself, for the one place that sends it to a server.
func (s Secret) Reveal() string { return string(s) }

// Address is where a database is and how to get in. Its String holds no password.
type Address struct {
	config *pgx.ConnConfig
	params map[string]string // as given, in libpq's keywords
}

// ErrNoAddress is returned for an empty connection string.
var ErrNoAddress = errors.New("no address given")

// ParseAddress reads a libpq URI or keyword string. Missing parts come from PGHOST, PGPASSFILE,
// pg_service.conf and their like, as in libpq. The error never repeats the string: it may hold a password.
func ParseAddress(s string) (Address, error) {
	if strings.TrimSpace(s) == "" {
		return Address{}, ErrNoAddress
	}
	config, err := pgx.ParseConfig(s)
	if err != nil {
		return Address{}, errors.New("not a libpq URI or keyword string, such as postgres://user@host:5432/database or \"host=… dbname=…\"")
	}
	params, err := keywords(s)
	if err != nil {
		return Address{}, err
	}
	for _, f := range config.Fallbacks { // the same place without TLS is one, too
		if f.Host != config.Host || f.Port != config.Port {
			return Address{}, errors.New("more than one host: sessions could land on different servers; name the one to use (PGHOST and the service file count, too)")
		}
	}
	addService(params)
	if _, given := config.RuntimeParams["hostaddr"]; given {
		return Address{}, errors.New("hostaddr is not known here: give the address as host")
	}
	for _, k := range libpqOnly {
		delete(config.RuntimeParams, k)
	}
	if config.Database == "" {
		config.Database = config.User
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // prepared statements break after somebody else's DDL and behind poolers
	return Address{config: config, params: params}, nil
}

// libpqOnly are keywords that are settings of libpq; our driver would send them to the server, which refuses them.
var libpqOnly = []string{
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslcrl", "sslcrldir", "sslcompression",
	"gssencmode", "gsslib", "gssdelegation", "requirepeer", "fallback_application_name", "load_balance_hosts", "client_encoding", "replication",
}

// addService puts in what only the service file says: other programs are not told of the service.
func addService(params map[string]string) {
	name := cmp.Or(params["service"], os.Getenv("PGSERVICE"))
	if name == "" {
		return
	}
	home, _ := os.UserHomeDir()
	file, err := pgservicefile.ReadServicefile(cmp.Or(params["servicefile"], os.Getenv("PGSERVICEFILE"), filepath.Join(home, ".pg_service.conf")))
	if err != nil { // pgx has read it
		return
	}
	service, err := file.GetService(name)
	if err != nil {
		return
	}
	for k, v := range service.Settings {
		if _, given := params[k]; !given {
			params[k] = v
		}
	}
}

// keywords reads a URI or a keyword string into libpq's keywords.
func keywords(s string) (map[string]string, error) {
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("not a valid URI")
		}
		m := map[string]string{}
		for k, v := range u.Query() {
			m[k] = v[len(v)-1]
		}
		return m, nil
	}
	m := map[string]string{}
	for rest := strings.TrimSpace(s); rest != ""; rest = strings.TrimSpace(rest) {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, errors.New("a keyword without a value in the connection string")
		}
		value, remaining := keywordValue(strings.TrimLeft(after, " "))
		m[strings.TrimSpace(key)] = value
		rest = remaining
	}
	return m, nil
}

// keywordValue takes one value, quoted or bare, off the front of s.
func keywordValue(s string) (value, rest string) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quoted && c == '\'':
			return b.String(), s[i+1:]
		case !quoted && c == ' ':
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// String returns host:port/database, without user and password.
func (a Address) String() string { return a.HostPort() + "/" + a.Database() }

// HostPort returns host:port, or the socket's folder and port.
func (a Address) HostPort() string { return a.config.Host + ":" + strconv.Itoa(int(a.config.Port)) }

// Host returns the host's name or address, or the socket's folder.
func (a Address) Host() string { return a.config.Host }

// Port returns the port as text.
func (a Address) Port() string { return strconv.Itoa(int(a.config.Port)) }

// Database and User return the parts of the address.
func (a Address) Database() string { return a.config.Database }

// User returns the role that connects.
func (a Address) User() string { return a.config.User }

// IsZero tells whether the address was never set.
func (a Address) IsZero() bool { return a.config == nil }

// WithDatabase returns the address of another database of the same server.
func (a Address) WithDatabase(name string) Address {
	c := a.config.Copy()
	c.Database = name
	return Address{config: c, params: a.params}
}

// carried are the keywords of the operator's string that the other server's libpq needs too.
var carried = []string{"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "gssencmode", "krbsrvname", "target_session_attrs"}

// Conninfo returns the keyword string with which another server's libpq reaches this address, with the given
// settings for its session (such as statement_timeout=0: a role's own setting would end the first copy).
func (a Address) Conninfo(application string, settings map[string]string) Secret {
	m := map[string]string{
		"host": a.config.Host, "port": strconv.Itoa(int(a.config.Port)), "dbname": a.config.Database, "user": a.config.User,
		"application_name": application, "keepalives_idle": "30", "connect_timeout": "10",
	}
	if a.config.Password != "" {
		m["password"] = a.config.Password
	}
	for _, k := range carried {
		if v, ok := a.params[k]; ok {
			m[k] = v
		}
	}
	if o := a.options(settings); o != "" {
		m["options"] = o
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s='%s'", k, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(m[k]))
	}
	return Secret(b.String())
}

// options are the operator's own, and after them, so that they count, the settings.
func (a Address) options(settings map[string]string) string {
	var ours []string
	for k, v := range settings {
		ours = append(ours, "-c "+k+"="+v)
	}
	sort.Strings(ours)
	return strings.TrimSpace(a.config.RuntimeParams["options"] + " " + strings.Join(ours, " "))
}

// kept tells which of libpq's variables stay in the environment: how to get in, never where to.
func kept(name string) bool {
	switch name {
	case "PGPASSFILE", "PGKRBSRVNAME", "PGGSSLIB", "PGGSSENCMODE", "PGGSSDELEGATION", "PGCHANNELBINDING", "PGREQUIREAUTH", "PGREQUIREPEER", "PGSYSCONFDIR", "PGLOCALEDIR":
		return true
	}
	return strings.HasPrefix(name, "PGSSL") || !strings.HasPrefix(name, "PG")
}

// variables are those of libpq's keywords that have one and that the operator may have given.
var variables = map[string]string{
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL",
	"channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE", "krbsrvname": "PGKRBSRVNAME",
}

// Env returns the environment with which libpq programs (pg_dump) reach this address: the password stands
// in it and never in the arguments, which everybody on the machine can read. Variables that name another place,
// such as PGSERVICE and PGHOSTADDR, are left out.
func (a Address) Env() []string {
	var env []string
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); kept(name) {
			env = append(env, v)
		}
	}
	env = append(env,
		"PGHOST="+a.config.Host, "PGPORT="+strconv.Itoa(int(a.config.Port)),
		"PGDATABASE="+a.config.Database, "PGUSER="+a.config.User, "PGAPPNAME=pgleap/pg_dump",
		"PGOPTIONS="+a.options(map[string]string{"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}))
	if a.config.Password != "" {
		env = append(env, "PGPASSWORD="+a.config.Password)
	}
	for key, name := range variables {
		if v, ok := a.params[key]; ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// Redact takes the password out of a text that came from elsewhere, such as a server's message.
func (a Address) Redact(text string) string {
	if a.config == nil || a.config.Password == "" {
		return text
	}
	return strings.ReplaceAll(text, a.config.Password, dots)
}

// WithPassword returns a with another password.
func (a Address) WithPassword(p Secret) Address {
	a.config = a.config.Copy()
	a.config.Password = p.Reveal()
	return a
}

// SeenAt returns a with another place: host[:port], or a URI or keyword string whose missing parts are a's.
func (a Address) SeenAt(text string) (Address, error) {
	if !strings.Contains(text, "=") && !strings.Contains(text, "://") {
		if strings.Contains(text, "@") { // not repeated: a password may stand before it
			return Address{}, errors.New("neither HOST:PORT nor an address: before user@host belongs postgres://")
		}
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			host, port = strings.Trim(text, "[]"), strconv.Itoa(int(a.config.Port))
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return Address{}, errors.New("the port is not a number from 0 to 65535")
		}
		c := a.config.Copy()
		c.Host, c.Port = host, uint16(n)
		return Address{config: c, params: a.params}, nil
	}
	b, err := ParseAddress(text)
	if err != nil {
		return Address{}, err
	}
	if b.config.Password == "" && (b.config.User == a.config.User || !strings.Contains(text, "user")) {
		b.config.User, b.config.Password = a.config.User, a.config.Password
	}
	return b, nil
}

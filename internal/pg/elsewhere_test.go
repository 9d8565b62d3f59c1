package pg

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEnvNamesOnePlace: nothing in the operator's environment may lead pg_dump to another database.
func TestEnvNamesOnePlace(t *testing.T) {
	a := mustParse(t, "postgres://ann:pw@db:5433/shop?sslmode=require&options=-c%20work_mem%3D8MB")
	for _, name := range []string{"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGTARGETSESSIONATTRS", "PGLEAP_TARGET", "PGOPTIONS", "PGPASSWORD", "PGDATABASE"} {
		t.Setenv(name, "elsewhere")
	}
	t.Setenv("PGSSLCRL", "/kept")
	t.Setenv("PGPASSFILE", "/kept")
	env := a.Env()
	for _, v := range env {
		if strings.Contains(v, "elsewhere") {
			t.Errorf("left in the environment: %s", v)
		}
	}
	for _, want := range []string{
		"PGHOST=db", "PGPORT=5433", "PGDATABASE=shop", "PGUSER=ann", "PGPASSWORD=pw", "PGSSLMODE=require", "PGSSLCRL=/kept", "PGPASSFILE=/kept",
		"PGOPTIONS=-c work_mem=8MB -c idle_in_transaction_session_timeout=0 -c lock_timeout=0 -c statement_timeout=0", "PATH=" + os.Getenv("PATH"),
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in %q", want, env)
		}
	}
	if info := a.Conninfo("x", map[string]string{"statement_timeout": "0"}).Reveal(); !strings.Contains(info, "options='-c work_mem=8MB -c statement_timeout=0'") {
		t.Error(info)
	}
}

// TestServiceIsSpeltOut: other programs are not told of the service, but of all that it says.
func TestServiceIsSpeltOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[shop]\nhost=db\nport=5433\ndbname=shop\nuser=ann\nsslmode=require\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", file)
	for _, text := range []string{"service=shop", "postgres://?service=shop"} {
		a := mustParse(t, text)
		if !strings.Contains(a.Conninfo("x", nil).Reveal(), "sslmode='require'") || !slices.Contains(a.Env(), "PGSSLMODE=require") || a.String() != "db:5433/shop" {
			t.Errorf("%s: %s, %q", text, a, a.Env())
		}
	}
}

func TestSeveralHostsAreRefused(t *testing.T) {
	for _, text := range []string{"host=a,b dbname=shop user=ann", "postgres://ann:hunter2@a,b/shop", "postgres://ann:hunter2@a:1,b:2/shop"} {
		_, err := ParseAddress(text)
		if err == nil || !strings.Contains(err.Error(), "more than one host") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	t.Setenv("PGHOST", "a,b")
	if _, err := ParseAddress("dbname=shop"); err == nil {
		t.Error("two hosts of PGHOST were taken")
	}
	t.Setenv("PGHOST", "")
	mustParse(t, "host=a dbname=shop user=ann sslmode=prefer")
}

// TestKeywordsOfLibpqStayHere: a server refuses them as settings.
func TestKeywordsOfLibpqStayHere(t *testing.T) {
	a := mustParse(t, "host=a user=ann keepalives_idle=30 sslcrl=/x gssencmode=disable work_mem=8MB")
	if len(a.config.RuntimeParams) != 1 || a.config.RuntimeParams["work_mem"] != "8MB" || !strings.Contains(a.Conninfo("x", nil).Reveal(), "sslcrl='/x'") {
		t.Errorf("%v", a.config.RuntimeParams)
	}
	if _, err := ParseAddress("host=a hostaddr=10.0.0.1 user=ann"); err == nil {
		t.Error("hostaddr was taken: the driver would connect to host")
	}
}

func TestSeenAtHidesThePassword(t *testing.T) {
	a := mustParse(t, "postgres://ann:pw@db:5433/shop")
	for _, text := range []string{"ann:hunter2@inside", "ann:hunter2@inside:5432", "inside:hunter2"} {
		if _, err := a.SeenAt(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func mustParse(t *testing.T, text string) Address {
	t.Helper()
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a
}

package pg

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Setenv("PGHOST", "")
	t.Setenv("PGPORT", "")
	for _, c := range []struct{ in, want, user string }{
		{"postgres://ann@db:5433/shop", "db:5433/shop", "ann"},
		{"postgresql://ann:s3cret@db/shop?sslmode=disable", "db:5432/shop", "ann"},
		{"host=db port=5433 dbname=shop user=ann", "db:5433/shop", "ann"},
		{`host=db dbname='my shop' user=ann password='it\'s'`, "db:5432/my shop", "ann"},
		{"postgres://ann@db", "db:5432/ann", "ann"},
	} {
		a, err := ParseAddress(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if a.String() != c.want || a.User() != c.user {
			t.Errorf("%s: %s as %s, want %s as %s", c.in, a, a.User(), c.want, c.user)
		}
	}
}

func TestParseErrorsHideThePassword(t *testing.T) {
	for _, in := range []string{"postgres://ann:hunter2@db:notaport/shop", "host=db password=hunter2 port=abc", "password=hunter2 nonsense"} {
		if _, err := ParseAddress(in); err == nil {
			t.Errorf("%q was taken", in)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestConninfoQuotesAndCarriesTLS(t *testing.T) {
	a, err := ParseAddress(`host=db dbname=shop user=ann password='a b\'c\\d' sslmode=require`)
	if err != nil {
		t.Fatal(err)
	}
	info := a.Conninfo("pgleap_shop", map[string]string{"statement_timeout": "0"}).Reveal()
	for _, want := range []string{`password='a b\'c\\d'`, `sslmode='require'`, `options='-c statement_timeout=0'`, `host='db'`, `application_name='pgleap_shop'`} {
		if !strings.Contains(info, want) {
			t.Errorf("%s is not in %s", want, info)
		}
	}
	if b, err := ParseAddress(info); err != nil || b.config.Password != a.config.Password {
		t.Errorf("the conninfo does not read back: %v", err)
	}
}

func TestSeenAt(t *testing.T) {
	a, err := ParseAddress("postgres://ann:pw@db:5433/shop")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{"inside": "inside:5433/shop", "inside:6000": "inside:6000/shop", "postgres://inside:6000/shop": "inside:6000/shop", "[::1]:6000": "::1:6000/shop"} {
		b, err := a.SeenAt(in)
		if err != nil || b.String() != want || b.config.Password != "pw" || b.User() != "ann" {
			t.Errorf("%s: %s, %v, want %s", in, b, err, want)
		}
	}
	if _, err := a.SeenAt("inside:port"); err == nil {
		t.Error("a port that is no number was taken")
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	s := Secret("hunter2")
	j, _ := json.Marshal(map[string]any{"s": s})
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "s", s)
	all := fmt.Sprint(s) + fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s) + string(j) + b.String()
	if strings.Contains(all, "hunter2") {
		t.Error(all)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"postgres://a:hunter2@b/c", "host=a password=hunter2", `password='x\'`, "=", "host = a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if b, err := ParseAddress(a.Conninfo("x", nil).Reveal()); err == nil && b.config.Password != a.config.Password {
			t.Errorf("%q: the password reads back differently", s)
		}
	})
}

package schema

import "testing"

func TestWithoutSecrets(t *testing.T) {
	const head = "CREATE USER MAPPING FOR \"OPTIONS (\" SERVER s"
	for sql, want := range map[string]string{
		head + ";": head + ";",
		head + " OPTIONS (\n    password 'it''s, )',\n    \"user\" 'u'\n);":         head + " OPTIONS (\n    \"user\" 'u'\n);",
		head + " OPTIONS (\n    \"user\" 'password',\n    sslpassword E'a\\'b'\n);": head + " OPTIONS (\n    \"user\" 'password'\n);",
		head + " OPTIONS (\n    aws_secret_access_key 'x'\n);":                      head + ";",
		head + " OPTIONS (\n    password_required 'false'\n);":                      head + " OPTIONS (\n    password_required 'false'\n);",
	} {
		if got := withoutSecrets(sql); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}

package rehearsal

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"pgleap/internal/pg"
	"pgleap/plan"
)

// The roles of the clients. Each write comes from one of them, in turn.
const (
	ownerRole    = "ledger_owner"    // owns the ledger's tables
	appRole      = "ledger_app"      // may use them
	stubbornRole = "ledger_stubborn" // has default_transaction_read_only = off: a database's setting does not stop it
	superRole    = "ledger_super"    // a superuser
)

var writerRoles = []string{ownerRole, appRole, stubbornRole, superRole}

// roleSettings of our clients: R-SECRET makes the server log every statement, and theirs say nothing. Only a
// superuser may set log_statement for a role.
var roleSettings = map[string]string{
	ownerRole:    "alter role ledger_owner set log_statement = 'none'",
	appRole:      "alter role ledger_app set log_statement = 'none'",
	superRole:    "alter role ledger_super superuser; alter role ledger_super set log_statement = 'none'",
	stubbornRole: "alter role ledger_stubborn set log_statement = 'none'; alter role ledger_stubborn set default_transaction_read_only = off",
}

// createRoles makes the clients' roles on both servers, with one password each. The statements hold
// verifiers, so that no log can hold a password of theirs.
func (s *Stage) createRoles(ctx context.Context) error {
	for _, role := range writerRoles {
		if err := s.createRole(ctx, role, s.Source, s.Target); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) createRole(ctx context.Context, role string, servers ...Server) error {
	password := rand.Text()
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	s.passwords[role], s.verifiers[role] = password, verifier
	for _, server := range servers {
		err := server.admin(ctx, func(a *pg.Session) error {
			verb := "create" // on given servers an earlier rehearsal may have made it
			rows, err := a.Script(ctx, "select 1 from pg_catalog.pg_roles where rolname = "+plan.QuoteLiteral(role))
			if err == nil && len(rows) > 0 {
				verb = "alter"
			}
			_, err = a.Script(ctx, fmt.Sprintf("%s role %s login password %s; %s", verb, plan.QuoteIdent(role), plan.QuoteLiteral(verifier), roleSettings[role]))
			return err
		})
		if err != nil {
			return fmt.Errorf("create role %s: %w", role, err)
		}
	}
	return nil
}

// scramVerifier is what a server stores for a password (RFC 5803, as scram-common.c prints it).
func scramVerifier(password string) (string, error) {
	const iterations = 4096
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("make a SCRAM verifier: %w", err)
	}
	keyed := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(keyed("Server Key"))), nil
}

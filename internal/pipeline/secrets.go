package pipeline

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"pgleap/internal/pg"
	"pgleap/plan"
	"pgleap/schema"
	pgsync "pgleap/sync"
)

// secrets are what stands in no plan, no journal and no log: a step's SQL has a mark in their place, and they
// are put in when the statement is sent. Marks stand within quotes.
type secrets map[string]pg.Secret

// secrets returns those that are known from the start.
func (c Config) secrets() secrets {
	return secrets{pgsync.Conninfo: c.conninfo(c.reachedAt())}
}

var anyMark = regexp.MustCompile(`\{\{(?:source_conninfo|target_conninfo|password:[^{}']*)\}\}`)

func holdsSecret(sql string) bool { return anyMark.MatchString(sql) }

func (s secrets) fill(template string) pg.Secret {
	return pg.Secret(anyMark.ReplaceAllStringFunc(template, func(mark string) string {
		secret, ok := s[mark]
		if !ok {
			return mark
		}
		return strings.ReplaceAll(secret.Reveal(), "'", "''")
	}))
}

func (s secrets) redact(text string) string {
	for mark, secret := range s {
		if secret.Reveal() != "" {
			text = strings.ReplaceAll(text, secret.Reveal(), mark)
		}
	}
	return text
}

// secretsOf reads what the step's marks stand for.
func (r *run) secretsOf(ctx context.Context, s plan.Step) (secrets, error) {
	all := r.secrets()
	roles := plan.PasswordRoles(s.Do.SQL)
	if len(roles) == 0 {
		return all, nil
	}
	stored, err := storedPasswords(ctx, r.source, roles)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	for _, role := range roles {
		if all[plan.PasswordMark(role)] = stored[role]; stored[role] == "" {
			return nil, plan.Fail(plan.KindDrift, "begin anew: pgleap abort, then pgleap sync", "role %s has no password on the source any more; it had one when the run was begun", plan.OneLine(plan.QuoteIdent(role)))
		}
	}
	return all, nil
}

// sendSecret carries out the step's statements one by one in the open transaction; those that hold a secret
// are kept out of the server's log where we may.
func (r *run) sendSecret(ctx context.Context, t *pg.Target, stage plan.StageID, s plan.Step, hint string) error {
	all, err := r.secretsOf(ctx, s)
	if err != nil {
		return err
	}
	if holdsSecret(s.Do.SQL) {
		if _, err := hideStatement(ctx, t.Session); err != nil {
			return err
		}
	}
	for _, sql := range schema.Statements(s) {
		if err := t.ExecSecret(ctx, sql, all.fill(sql)); err != nil {
			return &plan.StepError{Stage: stage, Step: s.ID, On: s.On, SQL: sql, Err: pg.Redacted(err, func(text string) string { return all.redact(r.redact(text)) }), Hint: hint}
		}
	}
	return nil
}

func (c Config) redact(text string) string {
	return c.Source.Redact(c.reachedAt().Redact(c.Target.Redact(c.TargetFromSource.Redact(text))))
}

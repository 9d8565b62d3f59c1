package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// rolesFit compares the roles of both sides as they are now: between sync and cutover an application may have
// got a new role, or an old one a new password.
func (r *run) rolesFit(ctx context.Context) error {
	source, err := catalog.ReadRoles(ctx, r.source, plan.Source)
	if err != nil {
		return err
	}
	target, err := catalog.ReadRoles(ctx, r.target, plan.Target)
	if err != nil {
		return err
	}
	found := plan.RolesAtSwitch(source, target, r.plan.Options)
	changed, err := r.changedPasswords(ctx)
	if err != nil {
		return err
	}
	var blockers []plan.Finding
	for _, f := range append(found, changed...) {
		switch {
		case f.Severity == plan.Blocker:
			blockers = append(blockers, f)
		case !slices.ContainsFunc(r.plan.Findings, func(p plan.Finding) bool {
			return p.Check == f.Check && p.Object == f.Object && p.Severity == f.Severity
		}):
			r.emit(plan.Event{Kind: plan.EventNote, Stage: plan.StageSwitch, Message: "new since the run was begun: " + findingLine(f)})
		}
	}
	if len(blockers) == 0 {
		return nil
	}
	return plan.Fail(plan.KindNotReady, "mend it on the target, then run pgleap cutover again; see also pgleap check",
		"the switch was not begun, writes were never stopped: roles are missing that clients log in with or have their rights by:%s", listed(blockers, findingLine))
}

// changedPasswords are those that this run has copied and that were changed since, on either side. What the
// servers store is compared here and goes nowhere.
func (r *run) changedPasswords(ctx context.Context) ([]plan.Finding, error) {
	stage, _ := r.plan.Stage(plan.StageSchema)
	step, _ := stage.Step(stepRoles)
	var made catalog.RoleChanges
	if found, err := r.journal.Data(ctx, journal.Made, stepRoles, &made); err != nil || !found {
		return nil, err
	}
	roles := slices.DeleteFunc(plan.PasswordRoles(step.Do.SQL), func(role string) bool { return !slices.Contains(made.Made.Roles, role) })
	if len(roles) == 0 {
		return nil, nil
	}
	old, err := storedPasswords(ctx, r.source, roles)
	if err != nil {
		return nil, err
	}
	now, err := storedPasswords(ctx, r.target, roles)
	if err != nil {
		return nil, err
	}
	roles = slices.DeleteFunc(roles, func(role string) bool { return old[role] == now[role] })
	if len(roles) == 0 {
		return nil, nil
	}
	var mend []string
	for i, role := range roles {
		roles[i] = plan.QuoteIdent(role)
		mend = append(mend, `\password `+roles[i])
	}
	return []plan.Finding{{
		Check: "roles", Severity: plan.Warning, On: plan.Target, Object: "password of " + roles[0],
		Problem: "these passwords were changed since they were copied: " + strings.Join(roles, ", ") + "\nclients that use the new one could not log in",
		Fix:     "set them on the target too", SQL: strings.Join(mend, " "),
	}}, nil
}

// storedPasswords reads what a server stores of passwords; only a superuser may.
func storedPasswords(ctx context.Context, q pg.Querier, roles []string) (map[string]pg.Secret, error) {
	rows, err := q.Query(ctx, `select rolname::text, rolpassword from pg_authid where rolname = any($1) and rolpassword is not null`, roles)
	if err != nil {
		return nil, fmt.Errorf("read the passwords of %d roles: %w", len(roles), err)
	}
	stored := map[string]pg.Secret{}
	var role, password string
	if _, err := pgx.ForEachRow(rows, []any{&role, &password}, func() error {
		stored[role] = pg.Secret(password)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the passwords of %d roles: %w", len(roles), err)
	}
	return stored, nil
}

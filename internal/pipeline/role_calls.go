package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgleap/internal/catalog"
	"pgleap/internal/journal"
	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
	"pgleap/schema"
)

// rolesCollide are the errors that two runs give each other when they make the same roles at the same time.
var rolesCollide = []string{pg.CodeExists, pg.CodeUnique, pg.CodeInternal}

// changeRoles carries out a step about roles in the open transaction, and journals with it what it has really
// changed: roles belong to the whole server, others may have made them. The transaction sees nothing of what
// others do meanwhile, so that the difference of its two looks is its own work.
func (r *run) changeRoles(ctx context.Context, s plan.Step) error {
	t := r.target
	if _, err := t.Exec(ctx, "set transaction isolation level repeatable read"); err != nil {
		return fmt.Errorf("begin step %s: %w", s.ID, err)
	}
	before, err := catalog.ReadRoleState(ctx, t, t.Version())
	if err != nil {
		return err
	}
	stage := r.stageOf(s.ID)
	if s.ID == stepSettings {
		err = r.changeSettings(ctx, stage, s)
	} else {
		err = r.sendSecret(ctx, t, stage, s, "see pgleap check: it tells what the role on the target may not do")
	}
	if err != nil {
		return err
	}
	after, err := catalog.ReadRoleState(ctx, t, t.Version())
	if err != nil {
		return err
	}
	return journal.RecordOn(ctx, t, journal.Made, stage, s.ID, after.Since(before))
}

// changeSettings sends the settings one by one. A value that the new major refuses is left out and said: nothing
// of the upgrade depends on it.
func (r *run) changeSettings(ctx context.Context, stage plan.StageID, s plan.Step) error {
	for _, sql := range schema.Statements(s) {
		cause, err := r.attempt(ctx, sql, pg.CodeInvalid, pg.CodeUndefined)
		if err != nil {
			return &plan.StepError{Stage: stage, Step: s.ID, On: s.On, SQL: sql, Err: err, Hint: "see pgleap check: it tells what the role on the target may not do"}
		}
		if cause != nil {
			r.emit(plan.Event{Kind: plan.EventNote, Stage: stage, Step: s.ID, Message: plan.OneLine("left out, because the target refuses it: " + sql + ": " + pg.Message(cause))})
		}
	}
	return nil
}

// attempt sends a statement of an open transaction. An error with one of the codes undoes that statement alone,
// and is returned as the cause why it was left out.
func (r *run) attempt(ctx context.Context, sql string, tolerated ...string) (cause, err error) {
	if _, err := r.target.Exec(ctx, "savepoint pgleap_role"); err != nil {
		return nil, err
	}
	then := "release savepoint pgleap_role"
	if _, cause = r.target.Exec(ctx, sql); cause != nil {
		if !slices.Contains(tolerated, pg.Code(cause)) {
			return nil, cause
		}
		then = "rollback to savepoint pgleap_role"
	}
	_, err = r.target.Exec(ctx, then)
	return cause, err
}

func (r *run) stageOf(id plan.StepID) plan.StageID {
	for _, stage := range r.plan.Stages {
		if _, ok := stage.Step(id); ok {
			return stage.ID
		}
	}
	return ""
}

// restoreRoles takes back what the step has changed, and that alone. It is journaled with the act: a role of
// the same name that another run makes afterwards is not ours to drop.
func (r *run) restoreRoles(ctx context.Context, s plan.Step) error {
	var made catalog.RoleChanges
	found, err := r.journal.Data(ctx, journal.Made, s.ID, &made)
	if err != nil || !found {
		return err
	}
	if restored, err := r.journal.Data(ctx, journal.Restored, s.ID, &struct{}{}); err != nil || restored {
		return err
	}
	return r.target.InTransaction(ctx, func() error {
		now, err := catalog.ReadRoleState(ctx, r.target, r.target.Version())
		if err != nil {
			return err
		}
		if made, err = r.ofThisDatabase(ctx, s, made, now); err != nil {
			return err
		}
		for _, sql := range restoring(made, now, r.target.Version(), r.plan.Target.Database) {
			if err := r.restore(ctx, s, sql); err != nil {
				return err
			}
		}
		return journal.RecordOn(ctx, r.target, journal.Restored, r.stageOf(s.ID), s.ID, struct{}{})
	})
}

// ofThisDatabase leaves out what belongs to the whole server when it has other databases: an upgrade into one of
// them found these roles there, and may be in production by now, with nothing that PostgreSQL would call a
// dependency. A role too many harms nobody; a login that is gone does.
func (r *run) ofThisDatabase(ctx context.Context, s plan.Step, made catalog.RoleChanges, now catalog.RoleState) (catalog.RoleChanges, error) {
	var others string
	if err := r.target.QueryRow(ctx, `select coalesce(string_agg(quote_ident(datname), ', ' order by datname), '') from pg_database
		where datallowconn and not datistemplate and datname not in (current_database(), 'postgres')`).Scan(&others); err != nil {
		return made, fmt.Errorf("look for other databases of the target: %w", err)
	}
	if others == "" {
		return made, nil
	}
	here := func(list []plan.RoleSetting) []plan.RoleSetting {
		return slices.DeleteFunc(slices.Clone(list), func(set plan.RoleSetting) bool { return !set.Database })
	}
	kept := catalog.RoleChanges{Made: catalog.RoleState{Settings: here(made.Made.Settings)}, Was: here(made.Was)}
	whole := made
	whole.Made.Settings = slices.DeleteFunc(slices.Clone(made.Made.Settings), func(set plan.RoleSetting) bool { return set.Database })
	if left := restoring(whole, now, r.target.Version(), r.plan.Target.Database); len(left) > 0 {
		r.emit(plan.Event{
			Kind: plan.EventNote, Step: s.ID, Data: map[string]any{"statements": left},
			Message: plan.OneLine(fmt.Sprintf("stays, because it belongs to the whole server and other databases of the target may rely on it (%s); if none does, take it back with: %s", others, strings.Join(left, " "))),
		})
	}
	return kept, nil
}

// restore sends one statement; what others have come to depend on stays, and is said.
func (r *run) restore(ctx context.Context, s plan.Step, sql string) error {
	cause, err := r.attempt(ctx, sql, pg.CodeDependent, pg.CodeUndefined)
	if err != nil {
		return fmt.Errorf("%s: %w", plan.OneLine(sql), err)
	}
	if pg.Code(cause) == pg.CodeDependent {
		r.emit(plan.Event{Kind: plan.EventNote, Step: s.ID, Message: plan.OneLine("stays, because it is in use elsewhere on the target: " + strings.TrimSuffix(sql, ";") + ": " + pg.Message(cause))})
	}
	return nil
}

// restoring are the statements that take changes back, where they still are as the step left them.
func restoring(c catalog.RoleChanges, now catalog.RoleState, v pgver.Version, database string) []string {
	var out []string
	for _, set := range slices.Backward(c.Made.Settings) {
		if !slices.Contains(now.Settings, set) {
			continue
		}
		if i := slices.IndexFunc(c.Was, set.SameScope); i >= 0 {
			out = append(out, c.Was[i].SetStatement(database))
		} else {
			out = append(out, set.ResetStatement(database))
		}
	}
	for _, g := range slices.Backward(c.Made.Grants) {
		ofMade := slices.Contains(c.Made.Roles, g.Role) || slices.Contains(c.Made.Roles, g.Member) // goes with the role
		if ofMade || !slices.Contains(now.Grants, g) {
			continue
		}
		sql := "revoke " + plan.QuoteIdent(g.Role) + " from " + plan.QuoteIdent(g.Member)
		if v.Has(pgver.RoleAdministration) && g.Grantor != "" {
			sql += " granted by " + plan.QuoteIdent(g.Grantor)
		}
		out = append(out, sql+";")
	}
	for _, role := range slices.Backward(c.Made.Roles) {
		if slices.Contains(now.Roles, role) {
			out = append(out, "drop role "+plan.QuoteIdent(role)+";")
		}
	}
	return out
}

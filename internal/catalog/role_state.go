package catalog

import (
	"context"
	"fmt"
	"slices"

	"pgleap/internal/pg"
	"pgleap/internal/pgver"
	"pgleap/plan"
)

// RoleState is what a run can change about roles: which there are, who is a member of whom, and what ALTER
// ROLE and ALTER DATABASE have set, for this database or for all.
type RoleState struct {
	Roles    []string           `json:"roles,omitempty"`
	Grants   []RoleGrant        `json:"grants,omitempty"`
	Settings []plan.RoleSetting `json:"settings,omitempty"`
}

// RoleGrant is a row of pg_auth_members.
type RoleGrant struct {
	Role    string `json:"role"`
	Member  string `json:"member"`
	Grantor string `json:"grantor"`
	Admin   bool   `json:"admin,omitempty"`
	Inherit bool   `json:"inherit,omitempty"`
	Set     bool   `json:"set,omitempty"`
}

// ReadRoleState reads it.
func ReadRoleState(ctx context.Context, q pg.Querier, v pgver.Version) (s RoleState, err error) {
	r := &reader{ctx: ctx, q: q, marks: marksOf(v)}
	if s.Roles, err = list[string](r, "roles", `select rolname::text from pg_roles order by rolname::text collate "C"`); err == nil {
		s.Grants, err = query[RoleGrant](r, "role_grants")
	}
	if err == nil {
		s.Settings, err = query[plan.RoleSetting](r, "role_settings")
	}
	if err != nil {
		return s, fmt.Errorf("read the roles: %w", err)
	}
	return s, nil
}

// RoleChanges are what came between two states. Of a setting that was there both states are told.
type RoleChanges struct {
	Made RoleState          `json:"made"`
	Was  []plan.RoleSetting `json:"was,omitempty"` // what the settings in Made were before, where they were
}

// Since returns what came since before. Nothing of ours takes anything away.
func (s RoleState) Since(before RoleState) (c RoleChanges) {
	for _, r := range s.Roles {
		if !slices.Contains(before.Roles, r) {
			c.Made.Roles = append(c.Made.Roles, r)
		}
	}
	for _, g := range s.Grants {
		if !slices.Contains(before.Grants, g) {
			c.Made.Grants = append(c.Made.Grants, g)
		}
	}
	for _, set := range s.Settings {
		if slices.Contains(before.Settings, set) {
			continue
		}
		c.Made.Settings = append(c.Made.Settings, set)
		if i := slices.IndexFunc(before.Settings, set.SameScope); i >= 0 {
			c.Was = append(c.Was, before.Settings[i])
		}
	}
	return c
}

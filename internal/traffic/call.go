package traffic

import (
	"context"

	"pgleap/internal/hooks"
	"pgleap/internal/pg"
	"pgleap/plan"
)

// Call is what every hook is told: the run, which way, and both servers; never a password.
func (c Config) Call() hooks.Call {
	call := hooks.Call{"PGLEAP_RUN": string(c.Run), "PGLEAP_DIRECTION": string(c.Direction)}
	return call.With(pair(c.From, c.To)).With(place("SOURCE", c.address(plan.Source))).With(place("TARGET", c.address(plan.Target)))
}

// pair is which server the clients leave, and which they go to.
func pair(old, new pg.Address) hooks.Call { return place("OLD", old).With(place("NEW", new)) }

func place(name string, a pg.Address) hooks.Call {
	if a.IsZero() {
		return nil
	}
	return hooks.Call{"PGLEAP_" + name + "_HOST": a.Host(), "PGLEAP_" + name + "_PORT": a.Port(), "PGLEAP_" + name + "_DATABASE": a.Database()}
}

// Undone is what on-abort is told besides: as on-status is of a switch that was undone.
func (c Config) Undone(message string) hooks.Call {
	stage := plan.StageSwitch
	if c.Direction == Rollback {
		stage = plan.StageBackSwitch
	}
	return hooks.Call{"PGLEAP_STATUS": string(plan.EventUndone), "PGLEAP_STAGE": string(stage), "PGLEAP_MESSAGE": message}
}

// Armed tells whether anything was begun that the hook on-abort has to know of.
func (t *Traffic) Armed() bool { return t.armed }

// Tell calls a hook whose failure changes nothing, and is only reported.
func (t *Traffic) Tell(ctx context.Context, h hooks.Hook, more hooks.Call) {
	if err := t.Hooks.Run(ctx, h, t.Call().With(more), t.Redact); err != nil {
		t.emit(plan.EventNote, "%v", err)
	}
}

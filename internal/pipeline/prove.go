package pipeline

import (
	"context"
	"fmt"

	"pgleap/cutover"
	"pgleap/plan"
)

// openProof makes ready what tries the fence of the side that from leads to. It is closed by the caller.
func (r *run) openProof(ctx context.Context, from cutover.Connector) (err error) {
	r.proof, err = cutover.OpenProof(ctx, from, r.sel.Fenced())
	return err
}

// prove tries the fence, and tells loudly what it lets pass.
func (r *run) prove(ctx context.Context) []cutover.Refusal {
	if r.proof == nil {
		return nil
	}
	refusals := r.proof.Try(ctx)
	r.tellProof(refusals)
	for _, p := range cutover.Passed(refusals) {
		r.emit(plan.Event{
			Kind: plan.EventNote, Stage: plan.StageSwitch, Data: map[string]any{"check": "fence-proof", "role": p.Role, "how": p.How, "tried": p.Tried},
			Message: fmt.Sprintf("fence-proof: THE FENCE LET A WRITE PASS, as role %s (%s): %s", plan.OneLine(p.Role), orPlain(p.How), plan.OneLine(p.Tried)),
		})
	}
	return refusals
}

// tellProof says what was tried.
func (r *run) tellProof(refusals []cutover.Refusal) {
	tried, roles := 0, map[string]bool{}
	for _, f := range refusals {
		if f.Tried != "" {
			tried++
			roles[f.Role] = true
		}
	}
	if tried == 0 {
		return
	}
	r.emit(plan.Event{
		Kind: plan.EventNote, Stage: plan.StageSwitch, Data: map[string]any{"check": "fence-proof", "refusals": refusals},
		Message: fmt.Sprintf("tried behind the fence: %s as %s; refused: %d", plan.Plural(tried, "write"), plan.Plural(len(roles), "role"), tried-len(cutover.Passed(refusals))),
	})
}

func orPlain(how string) string {
	if how == "" {
		return "nothing set"
	}
	return how
}

// errNotProven fails a switch behind whose fence a write was carried out. The new server is the truth all the same.
func (r *run) errNotProven() error {
	holes := cutover.Passed(r.switched.Refusals)
	if len(holes) == 0 {
		return nil
	}
	return plan.Fail(plan.KindPastReturn, r.direction.Words("keep every client off the old server; find the table's trigger "+plan.FenceTrigger+" (it was dropped, or switched off: alter table … enable trigger "+plan.FenceTrigger+"); pgleap status tells what was written there since"),
		r.direction.Words("the target takes the writes, but the fence on the old server has a hole")+": %d of %d writes that were tried there were not refused, the first as role %s: %s",
		len(holes), len(r.switched.Refusals), holes[0].Role, plan.OneLine(holes[0].Tried))
}
